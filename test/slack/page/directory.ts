/** Names behind ids, for whatever renders a mention. */
import { createContext } from 'react';
import type { Person } from './model.ts';

export interface Names {
  me: string;
  people: Map<string, Person>;
  groups: Map<string, { handle: string; users: string[] }>;
  channels: Map<string, string>;
}

export const Directory = createContext<Names>({ me: '', people: new Map(), groups: new Map(), channels: new Map() });
