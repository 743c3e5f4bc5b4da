/** Where the configuration is: for who need not read it. */

/** `--config`, else `COUNTERSIGN_CONFIG`, else the file of that name where the process was started. */
export const configPath = (option: string | undefined): string =>
  option ?? process.env.COUNTERSIGN_CONFIG ?? 'countersign.yaml';
