/** What `countersign check` says of the receivers of audit entries. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Certificate, selfSigned } from '../../test/support/door.ts';
import { freePort } from '../../test/support/ports.ts';
import { SyslogServer, WebhookServer } from '../../test/support/receivers.ts';
import { Secret } from '../secrets.ts';
import { receiverTrial } from './check-sinks.ts';

describe('check of a sink', () => {
  let certificate: Certificate;
  let client: Certificate;
  let server: SyslogServer;
  let strict: SyslogServer;
  let ports: readonly [number, number];
  before(async () => {
    [certificate, client] = await Promise.all([selfSigned('IP:127.0.0.1'), selfSigned('DNS:gateway')]);
    server = new SyslogServer(certificate);
    strict = new SyslogServer({ ...certificate, ca: client.cert, requestCert: true });
    ports = [await server.listen(), await strict.listen()];
  });
  after(() => Promise.all([server.close(), strict.close()]));

  const syslog = (port: number, tls: { ca?: string; cert?: string; key?: Secret }) =>
    receiverTrial({
      name: 'siem',
      maxBehindMs: undefined,
      syslog: { address: { host: '127.0.0.1', port }, facility: 'audit', tls },
    });

  it('says that it answers, and sends it nothing', async () => {
    assert.match(await syslog(ports[0], { ca: certificate.cert }), /certificate verifies/);
    assert.deepEqual([server.received, server.problems], [[], []]);
  });

  it('fails where nobody listens, or somebody else does', async () => {
    await assert.rejects(syslog(await freePort(), { ca: certificate.cert }), /ECONNREFUSED/);
    await assert.rejects(syslog(ports[0], { ca: client.cert }), /certificate/);
  });

  it('fails where the receiver does not take this gateway’s certificate, though that is said after the handshake', async () => {
    await assert.rejects(syslog(ports[1], { ca: certificate.cert }));
    const shown = { cert: client.cert, key: new Secret(client.key) };
    assert.match(await syslog(ports[1], { ca: certificate.cert, ...shown }), /verifies/);
  });

  it('asks nothing of a webhook but to be there', async () => {
    const hook = new WebhookServer('x');
    const url = new Secret(await hook.listen());
    const batch = { entries: 1, bytes: 1 };
    const sink = { name: 'hook', maxBehindMs: undefined, webhook: { url, secret: url, timeoutMs: 1, batch } };
    assert.match(await receiverTrial(sink), /answers/);
    assert.equal(hook.calls.length, 0);
    await hook.close();
    await assert.rejects(receiverTrial(sink), /ECONNREFUSED/);
  });
});
