/** What ends a credential or an operation behaves as an AbortSignal does, wherever it stands in for one. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { End, type Ending } from './ending.ts';

const KINDS: Record<string, () => { signal: Ending; abort: (reason: unknown) => void }> = {
  'an AbortSignal': () => {
    const controller = new AbortController();
    return { signal: controller.signal, abort: (reason) => controller.abort(reason) };
  },
  'an End': () => {
    const end = new End();
    return { signal: end, abort: (reason) => end.abort(reason) };
  },
};

for (const [kind, make] of Object.entries(KINDS)) {
  describe(kind, () => {
    it('tells its listeners once, in order, with its first reason', () => {
      const { signal, abort } = make();
      const heard: string[] = [];
      const twice = () => heard.push(`first: ${signal.reason}`);
      signal.addEventListener('abort', twice, { once: true });
      signal.addEventListener('abort', twice, { once: true });
      signal.addEventListener('abort', () => heard.push(`second: ${signal.aborted}`), { once: true });
      assert.equal(signal.aborted, false);
      abort('revoked');
      abort('expired');
      assert.deepEqual(heard, ['first: revoked', 'second: true']);
      assert.equal(signal.reason, 'revoked');
    });

    it('does not tell who has left, even left while others are told, nor who comes too late', () => {
      const { signal, abort } = make();
      const heard: string[] = [];
      const leaver = () => heard.push('left');
      signal.addEventListener('abort', () => signal.removeEventListener('abort', leaver), { once: true });
      signal.addEventListener('abort', () => signal.addEventListener('abort', leaver, { once: true }), { once: true });
      signal.addEventListener('abort', leaver, { once: true });
      abort('over');
      signal.addEventListener('abort', leaver, { once: true });
      assert.deepEqual(heard, []);
    });
  });
}

describe('an End', () => {
  it('tells the others when a listener throws, and hides the error from nobody', (t) => {
    const end = new End();
    let told = false;
    end.addEventListener('abort', () => {
      throw new Error('a listener broke');
    });
    end.addEventListener('abort', () => {
      told = true;
    });
    const uncaught: (() => void)[] = [];
    const { mock } = t.mock.method(process, 'nextTick', (later: () => void) => uncaught.push(later));
    end.abort('over');
    mock.restore();
    assert.equal(told, true);
    assert.equal(uncaught.length, 1);
    assert.throws(() => uncaught[0]?.(), /a listener broke/);
  });
});
