import assert from 'node:assert/strict';
import { test } from 'node:test';
import { settle, setup, setupOpen } from './fake.js';

test('what is asked while there is no connection goes out with the next, in order', async (t) => {
  const { peer, connections, tick } = await setupOpen(t);
  connections[0].drop();
  const responses = ['/1', '/2', '/3'].map((path) => peer.request('message', path));
  const { bufferedAmount } = peer;
  assert.ok(bufferedAmount > 0);
  await tick(500);
  assert.equal(peer.bufferedAmount, bufferedAmount);
  connections[1].open();
  assert.equal(peer.bufferedAmount, 0);
  assert.deepEqual(connections[1].sent.map((m) => m.path), ['/1', '/2', '/3']);
  for (const { id } of connections[1].sent) connections[1].receive({ status: 200, reason: 'OK', id });
  await Promise.all(responses);
});

test('what has timed out does not go out', async (t) => {
  const { peer, connection, tick } = await setup(t, { connectTimeout: 60_000 });
  const short = peer.request('message', '/short', undefined, { timeout: 100 });
  peer.request('message', '/long').catch(() => {});
  await Promise.all([assert.rejects(short, { status: 408 }), tick(100)]);
  connection.open();
  assert.deepEqual(connection.sent.map((m) => m.path), ['/long']);
});

test('a connection that is closing sends nothing more', async (t) => {
  const { peer, connections, tick } = await setupOpen(t);
  connections[0].readyState = 2;
  assert.equal(peer.state, 'connecting');
  peer.request('message', '/').catch(() => {});
  connections[0].drop(1012);
  await tick(500);
  connections[1].open();
  assert.equal(connections[1].sent.length, 1);
});

test('the number of waiting messages is bounded', async (t) => {
  const { peer, connection } = await setup(t, { maxQueued: 2 });
  const controller = new AbortController();
  const ask = (signal) => peer.request('message', '/', undefined, { signal });
  const first = ask(controller.signal);
  ask().catch(() => {});
  await assert.rejects(ask(), { name: 'ProtooError', status: 503, reason: 'too much queued', local: true });
  controller.abort();
  await assert.rejects(first);
  ask().catch(() => {});
  connection.open();
  assert.equal(connection.sent.length, 2);
  ask().catch(() => {});
  assert.equal(connection.sent.length, 3, 'the bound is on what waits');
});

test('the bytes that wait are bounded, here and in the connection', async (t) => {
  const { peer, connection } = await setup(t, { maxQueuedBytes: 1000 });
  const ask = (data) => peer.request('message', '/', data);
  ask('é'.repeat(200)).catch(() => {});
  assert.ok(peer.bufferedAmount > 400 && peer.bufferedAmount < 500, 'counted in UTF-8');
  await assert.rejects(ask('x'.repeat(600)), { status: 503 });
  connection.open();
  connection.bufferedAmount = 900;
  assert.equal(peer.bufferedAmount, 900);
  await assert.rejects(ask('x'.repeat(100)), { status: 503 });
  connection.bufferedAmount = 0;
  ask('x'.repeat(600)).catch(() => {});
  assert.equal(connection.sent.length, 2);
});

test('the defaults are 1,000 messages and 1 MiB', async (t) => {
  const { peer } = await setup(t);
  for (let i = 0; i < 1000; i++) peer.request('message', '/').catch(() => {});
  await assert.rejects(peer.request('message', '/'), { status: 503 });

  t.mock.timers.reset();
  const large = await setup(t);
  const data = 'x'.repeat(65_000);
  for (let i = 0; i < 16; i++) large.peer.request('message', '/', data).catch(() => {});
  await assert.rejects(large.peer.request('message', '/', data), { status: 503 });
});

test('what a lost connection had buffered does not count', async (t) => {
  const { peer, connection } = await setupOpen(t);
  connection.bufferedAmount = 900;
  connection.drop();
  assert.equal(peer.bufferedAmount, 0);
});

test('closing empties the queue', async (t) => {
  const { peer, connection } = await setupOpen(t);
  peer.handle('message', '*', () => {});
  connection.receive({ method: 'message', path: '/', id: 1 });
  connection.drop();
  const request = peer.request('message', '/');
  await settle();
  assert.ok(peer.bufferedAmount > 60, 'a request and a reply');
  peer.close();
  assert.equal(peer.bufferedAmount, 0);
  await assert.rejects(request, { status: 410 });
});
