/** No attack of the corpus gets a masked value out: the second third. */
import { attacked } from './suite.ts';

attacked(1);
