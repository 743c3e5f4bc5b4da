/** The parts of App Home, in the order they are shown. A gateway names the part each section belongs to by its title. */

export type HomePart = {
  readonly title: string;
  /** Said when no gateway has anything of it. */
  readonly empty: string;
  readonly newestFirst: boolean;
  /** No more of them are shown; the rest are counted. */
  readonly most: number;
  readonly admins: boolean;
};

const part = (title: string, empty: string, most: number, more: Partial<HomePart> = {}): HomePart => ({
  title,
  empty,
  most,
  newestFirst: false,
  admins: false,
  ...more,
});

export const HOME = {
  waits: part('Waits for you', 'Nothing waits for your decision.', 15),
  agents: part('Your agents lately', 'No agent of yours asked for anything here.', 10, { newestFirst: true }),
  decisions: part('Your decisions this week', 'You decided nothing this week.', 10, { newestFirst: true }),
  holds: part('Open holds by age', 'Nothing is held.', 15, { admins: true }),
  changes: part('Rule changes that wait', 'No change waits for a second admin.', 10, { admins: true }),
  reviews: part('Break-glass releases to review', 'Every release by break-glass is signed.', 10, { admins: true }),
  gateways: part('Gateways', 'No gateway says how it is.', 20, { admins: true }),
} as const satisfies Record<string, HomePart>;
