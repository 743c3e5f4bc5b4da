/** Lists without ids of their own: a block is immutable, so that the place is the key. */
import { Children, type ReactNode } from 'react';

export const keyed = <T>(items: readonly T[], render: (item: T, index: number) => ReactNode): ReactNode[] =>
  Children.toArray(items.map(render));
