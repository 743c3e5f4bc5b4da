/** What a promise was refused with, for assertions. */
import assert from 'node:assert/strict';
import { GatewayError } from '../../gateway/errors.ts';

export const rejection = (promise: Promise<unknown>): Promise<GatewayError> =>
  promise.then(
    () => assert.fail('it was let through'),
    (error) => {
      assert.ok(error instanceof GatewayError, String(error));
      return error;
    },
  );
