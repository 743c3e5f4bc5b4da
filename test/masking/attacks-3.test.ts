/** No attack of the corpus gets a masked value out: the third third. */
import { attacked } from './suite.ts';

attacked(2);
