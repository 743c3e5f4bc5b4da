/** Style sheets are bundled by esbuild; TypeScript need not know more. */
declare module '*.css';
