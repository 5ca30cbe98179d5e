import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProtooError } from '../protoo.js';
import { fakePeer, setup, setupOpen } from './fake.js';

const local = (status, reason) => ({ name: 'ProtooError', status, reason, local: true });

test('a request has the fields of the protocol in its order', async (t) => {
  const { peer, connection } = await setupOpen(t);
  peer.request('message', '/users/bob', { text: 'hi' }).catch(() => {});
  peer.request('poke', '/x').catch(() => {});
  assert.deepEqual(Object.keys(connection.sent[0]), ['method', 'path', 'id', 'data']);
  const { id, ...rest } = connection.sent[0];
  assert.deepEqual(rest, { method: 'message', path: '/users/bob', data: { text: 'hi' } });
  assert.equal(typeof id, 'string');
  assert.deepEqual(Object.keys(connection.sent[1]), ['method', 'path', 'id']);
  assert.notEqual(connection.sent[1].id, id);
});

test('a 2xx resolves', async (t) => {
  const { peer, connection } = await setupOpen(t);
  for (const [status, data] of [[200, { a: 1 }], [299, undefined]]) {
    const response = peer.request('message', '/users/bob');
    connection.answer(status, 'fine', data);
    assert.deepEqual(await response, { status, reason: 'fine', data });
  }
});

test('a 3xx to 6xx rejects with a ProtooError', async (t) => {
  const { peer, connection } = await setupOpen(t);
  for (const status of [300, 404, 500, 699]) {
    const response = peer.request('message', '/users/bob');
    connection.answer(status, 'peer not found', { a: 1 });
    await assert.rejects(response, (error) => {
      assert.ok(error instanceof ProtooError && error instanceof Error);
      assert.equal(error.message, `${status} peer not found`);
      const { reason, data, local } = error;
      assert.deepEqual({ status: error.status, reason, data, local },
        { status, reason: 'peer not found', data: { a: 1 }, local: false });
      return true;
    });
  }
});

test('provisional responses come in order, before the final one', async (t) => {
  const { peer, connection, events } = await setupOpen(t);
  const seen = [];
  const response = peer.request('session', '/users/bob/phone', undefined, {
    onProvisional(response) {
      seen.push(response);
      if (seen.length === 2) throw new Error('from onProvisional');
    },
  });
  connection.answer(100, 'connecting', { sessionPath: '/sessions/1' });
  connection.answer(180, 'ringing');
  connection.answer(199, 'still ringing');
  connection.answer(200, 'OK');
  connection.answer(180, 'too late');
  assert.equal((await response).status, 200);
  assert.deepEqual(seen, [
    { status: 100, reason: 'connecting', data: { sessionPath: '/sessions/1' } },
    { status: 180, reason: 'ringing', data: undefined },
    { status: 199, reason: 'still ringing', data: undefined },
  ]);
  assert.deepEqual(events.map((e) => [e.type, e.error.message]), [['error', 'from onProvisional']]);
});

test('responses may come in any order, and only the first final one counts', async (t) => {
  const { peer, connection } = await setupOpen(t);
  const responses = ['/a', '/b', '/c'].map((path) => peer.request('message', path));
  for (const { id, path } of connection.sent.toReversed()) {
    connection.receive({ status: 200, reason: 'OK', id, data: path });
    connection.receive({ status: 500, reason: 'again', id });
  }
  assert.deepEqual((await Promise.all(responses)).map((r) => r.data), ['/a', '/b', '/c']);
});

/** @type {[string, number | undefined, number][]} */
const timeouts = [
  ['message', undefined, 10_000],
  ['session', undefined, 120_000],
  ['session', 50, 50],
  ['message', 2 ** 31 - 1, 2 ** 31 - 1],
];
for (const [method, timeout, expected] of timeouts) {
  test(`${method} with timeout ${timeout} gives up after ${expected} ms`, async (t) => {
    const { peer, connection, tick } = await setupOpen(t);
    const errors = [];
    peer.request(method, '/users/bob', undefined, { timeout }).catch((error) => errors.push(error));
    connection.answer(180, 'a provisional response does not prolong it');
    await tick(expected - 1);
    assert.deepEqual(errors, []);
    await tick(1);
    const [{ name, status, reason, local: isLocal }] = errors;
    assert.deepEqual({ name, status, reason, local: isLocal }, local(408, 'sending timeout'));
    connection.answer(200, 'too late');
  });
}

test('timeout Infinity, or more than a timer can hold, is no timeout', async (t) => {
  const { peer, connection, tick } = await setupOpen(t);
  for (const timeout of [Infinity, 2 ** 31]) {
    const response = peer.request('message', '/users/bob', undefined, { timeout });
    await tick(2 ** 31);
    connection.answer(200, 'at last');
    assert.equal((await response).reason, 'at last');
  }
});

test('a timeout that is no positive number is refused', async (t) => {
  const { peer, connection } = await setupOpen(t);
  for (const timeout of [0, -1, NaN]) {
    await assert.rejects(peer.request('message', '/', undefined, { timeout }), RangeError);
  }
  assert.deepEqual(connection.sent, []);
});

test('data that is no JSON is refused', async (t) => {
  const { peer, connection } = await setupOpen(t);
  const cyclic = {};
  cyclic.self = cyclic;
  for (const data of [cyclic, 1n]) {
    await assert.rejects(peer.request('message', '/', data), { status: 400, local: true });
  }
  assert.deepEqual(connection.sent, []);
});

test('a message larger than maxMessage is refused, in bytes', async (t) => {
  const { peer, connection } = await setupOpen(t, { maxMessage: 100 });
  await assert.rejects(peer.request('message', '/', 'é'.repeat(40)), { status: 413, local: true });
  assert.deepEqual(connection.sent, []);
  peer.request('message', '/', 'e'.repeat(40)).catch(() => {});
  assert.equal(connection.sent.length, 1);
});

test('abort rejects with the reason of the signal', async (t) => {
  const { peer, connection } = await setupOpen(t);
  const controller = new AbortController();
  const { signal } = controller;
  const response = peer.request('message', '/users/bob', undefined, { signal });
  controller.abort();
  await assert.rejects(response, { name: 'AbortError' });
  connection.answer(200, 'too late');

  await assert.rejects(peer.request('message', '/', undefined, { signal }), { name: 'AbortError' });
  assert.equal(connection.sent.length, 1, 'an aborted signal sends nothing');

  const reason = new ProtooError(487, 'canceled');
  await assert.rejects(peer.request('message', '/', undefined, { signal: AbortSignal.abort(reason) }), reason);
});

test('abort takes a request out of the queue', async (t) => {
  const { peer, connection } = await setup(t);
  const controller = new AbortController();
  const response = peer.request('message', '/first', undefined, { signal: controller.signal });
  const second = peer.request('message', '/second');
  controller.abort(new Error('changed my mind'));
  await assert.rejects(response, { message: 'changed my mind' });
  connection.open();
  assert.deepEqual(connection.sent.map((m) => m.path), ['/second']);
  assert.equal(peer.bufferedAmount, 0);
  connection.answer(200, 'OK');
  await second;
});

test('a finished request leaves no listener on its signal', async (t) => {
  const { peer, connection } = await setupOpen(t);
  const { signal } = new AbortController();
  const added = t.mock.method(signal, 'addEventListener');
  const removed = t.mock.method(signal, 'removeEventListener');
  const response = peer.request('message', '/', undefined, { signal });
  connection.answer(200, 'OK');
  await response;
  assert.equal(added.mock.callCount(), 1);
  assert.deepEqual(removed.mock.calls.map((c) => c.arguments), added.mock.calls.map((c) => c.arguments));
});

test('closing rejects what is pending, and what comes later, with 410', async (t) => {
  const { peer } = await setupOpen(t);
  const pending = peer.request('message', '/users/bob');
  peer.close(3001, 'bye');
  const expected = { ...local(410, 'peer offline'), data: { code: 3001, reason: 'bye' } };
  await assert.rejects(pending, expected);
  await assert.rejects(peer.request('message', '/users/bob'), expected);
});

test('ids do not repeat between peers', async (t) => {
  const ids = new Set();
  for (let i = 0; i < 3; i++) {
    const { peer, connection } = await fakePeer(t);
    connection.open();
    peer.request('message', '/').catch(() => {});
    peer.request('message', '/').catch(() => {});
    for (const { id } of connection.sent) ids.add(id);
  }
  assert.equal(ids.size, 6);
});
