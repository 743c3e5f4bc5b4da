/** Preloaded into gateway and bot: on SIGUSR2 the garbage is collected and what is left goes into a file of this process. */
const { setFlagsFromString } = require('node:v8');
const { renameSync, writeFileSync } = require('node:fs');
const { runInNewContext } = require('node:vm');

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc');

process.on('SIGUSR2', () => {
  collect();
  const file = `${process.env.SOAK_HEAP}-${process.pid}`;
  writeFileSync(`${file}.new`, JSON.stringify({ at: Date.now(), used: process.memoryUsage().heapUsed }));
  renameSync(`${file}.new`, file);
});
