/** Signals that come at any time: none is lost, none ends what was only to be reloaded. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { askedToReload } from './ending.ts';

describe('SIGHUP', () => {
  it('that comes during the start reloads once, as soon as there is something to reload', () => {
    const reloads = askedToReload();
    process.emit('SIGHUP');
    process.emit('SIGHUP');
    let reloaded = 0;
    reloads.begin(() => reloaded++);
    assert.equal(reloaded, 1);
    process.emit('SIGHUP');
    assert.equal(reloaded, 2);
  });

  it('means nothing during the end, and is still listened to', () => {
    const reloads = askedToReload();
    let reloaded = 0;
    reloads.begin(() => reloaded++);
    reloads.end();
    process.emit('SIGHUP');
    assert.equal(reloaded, 0);
    assert.ok(process.listenerCount('SIGHUP') > 0);
  });
});
