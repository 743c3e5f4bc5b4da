/** A BullMQ worker as the library has it, in a process of its own, which says when each job came: the floor. */
import { Worker } from 'bullmq';
import { Redis } from 'ioredis';

const [url = '', name = ''] = process.argv.slice(2);
const connection = new Redis(url, { maxRetriesPerRequest: null });

/** Of the machine, not of the process: what another process reads can be compared with it. */
const worker = new Worker(name, async () => void process.send?.(process.hrtime.bigint().toString()), { connection });
await worker.waitUntilReady();
process.send?.('ready');
