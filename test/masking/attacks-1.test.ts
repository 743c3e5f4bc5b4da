/** No attack of the corpus gets a masked value out: the first third. */
import { attacked } from './suite.ts';

attacked(0);
