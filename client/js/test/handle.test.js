import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect, ProtooError } from '../protoo.js';
import { FakeConnection, setup, setupOpen, settle } from './fake.js';

const request = (fields) => ({ method: 'message', path: '/users/alice', id: 'r1', ...fields });

test('a handler gets the request', async (t) => {
  const { peer, connection } = await setupOpen(t);
  /** @type {any} */
  let got;
  peer.handle('message', '/users/:username/:uuid?', (req) => { got = req; });
  const sender = { username: 'bob', uuid: 'laptop' };
  connection.receive(request({ path: '/users/al%20ice/phone', id: 7, data: [1], sender }));
  assert.equal(got.peer, peer);
  assert.deepEqual([got.method, got.path, got.id, got.data, got.sender],
    ['message', '/users/al%20ice/phone', 7, [1], sender]);
  assert.deepEqual({ ...got.params }, { username: 'al ice', uuid: 'phone' });
  assert.equal(got.ended, false);
  await settle();
  assert.equal(got.ended, true);
  assert.deepEqual(connection.sent, [{ status: 200, reason: 'OK', id: 7 }]);
});

/** @type {[string, import('../protoo.js').Handler, object][]} */
const answers = [
  ['a value', () => ({ a: 1 }), { status: 200, reason: 'OK', data: { a: 1 } }],
  ['null', () => null, { status: 200, reason: 'OK', data: null }],
  ['nothing', () => {}, { status: 200, reason: 'OK' }],
  ['a promise', async () => 'later', { status: 200, reason: 'OK', data: 'later' }],
  ['reply', (req) => { req.reply(202, 'noted', 1); return 2; }, { status: 202, reason: 'noted', data: 1 }],
  ['reply without a reason', (req) => void req.reply(486), { status: 486, reason: '' }],
  ['ProtooError', () => { throw new ProtooError(603, 'declined', 1); }, { status: 603, reason: 'declined', data: 1 }],
  ['a rejection', async () => { throw new ProtooError(300); }, { status: 300, reason: '' }],
];
for (const [name, fn, expected] of answers) {
  test(`answer by ${name}`, async (t) => {
    const { peer, connection, events } = await setupOpen(t);
    peer.handle('message', '*', fn);
    connection.receive(request());
    await settle();
    assert.deepEqual(connection.sent, [{ ...expected, id: 'r1' }]);
    assert.deepEqual(events, []);
  });
}

/** @type {[string, import('../protoo.js').Handler, RegExp][]} */
const failures = [
  ['an error', () => { throw new Error('secret'); }, /secret/],
  ['a rejection', async () => { throw 'secret'; }, /secret/],
  ['a value that is no JSON', () => 1n, /BigInt/],
  ['an error with data that is no JSON', () => { throw new ProtooError(400, 'no', 1n); }, /BigInt/],
  ['a value that is too large', () => 'x'.repeat(70_000), /413/],
  ['an error of this side', (req) => req.peer.request('message', '/', 1n), /BigInt/],
  ['a status out of range', (req) => void req.reply(99), /status 99/],
];
for (const [name, fn, message] of failures) {
  test(`${name} is a 500 that tells nothing, and an event`, async (t) => {
    const { peer, connection, events } = await setupOpen(t);
    peer.handle('message', '*', fn);
    connection.receive(request());
    await settle();
    assert.deepEqual(connection.sent, [{ status: 500, reason: 'internal error', id: 'r1' }]);
    assert.deepEqual(events.map((e) => e.type), ['error']);
    assert.match(String(events[0].error), message);
  });
}

test('a reply after the final one throws', async (t) => {
  const { peer, connection, events } = await setupOpen(t);
  peer.handle('message', '*', (req) => {
    assert.equal(req.reply(180, 'ringing'), true);
    assert.equal(req.ended, false);
    assert.equal(req.reply(200), true);
    assert.throws(() => req.reply(180), /already replied/);
    req.reply(404);
  });
  connection.receive(request());
  await settle();
  assert.deepEqual(connection.sent.map((m) => m.status), [180, 200]);
  assert.match(String(events[0].error), /already replied/);
});

test('an error nobody prevents goes to the console', async (t) => {
  const logged = t.mock.method(console, 'error', () => {});
  const connection = new FakeConnection();
  const peer = connect('ws://server.test', { transports: [() => connection] });
  t.after(() => peer.close());
  const error = new Error('from the handler');
  peer.handle('message', '*', () => { throw error; });
  peer.addEventListener('error', (event) => event.preventDefault(), { once: true });
  await settle();
  connection.open();
  connection.receive(request());
  await settle();
  assert.equal(logged.mock.callCount(), 0);
  connection.receive(request());
  await settle();
  assert.deepEqual(logged.mock.calls.map((c) => c.arguments), [[error]]);
});

test('no handler is a 404', async (t) => {
  const { peer, connection } = await setupOpen(t);
  peer.handle('message', '/other', () => {});
  peer.handle('session', '/users/alice', () => {});
  connection.receive(request());
  await settle();
  assert.deepEqual(connection.sent, [{ status: 404, reason: 'no handler for message at /users/alice', id: 'r1' }]);
});

test('a path that cannot be decoded is a 400', async (t) => {
  const { peer, connection } = await setupOpen(t);
  peer.handle('message', '/users/:username', () => {});
  connection.receive(request({ path: '/users/%ff' }));
  await settle();
  assert.deepEqual(connection.sent, [{ status: 400, reason: 'path: cannot decode %ff', id: 'r1' }]);
});

test('an aborted signal registers nothing', async (t) => {
  const { peer, connection } = await setupOpen(t);
  peer.handle('message', '*', () => 1, { signal: AbortSignal.abort() });
  connection.receive(request());
  await settle();
  assert.equal(connection.sent[0].status, 404);
});

test('the first handler that matches gets the request', async (t) => {
  const { peer, connection } = await setupOpen(t);
  const controller = new AbortController();
  const remove = peer.handle('message', '/users/alice', () => 1);
  peer.handle('message', '/users/:username', () => 2, { signal: controller.signal });
  peer.handle('*', '*', () => 3);
  const ask = async () => {
    connection.receive(request());
    await settle();
    return connection.sent.at(-1).data;
  };
  assert.equal(await ask(), 1);
  remove();
  remove();
  assert.equal(await ask(), 2);
  controller.abort();
  assert.equal(await ask(), 3);
});

const matches = [
  ['/', '/', {}],
  ['/', '/a', undefined],
  ['/a/b', '/a/b', {}],
  ['/a/b', '/A/b/', {}],
  ['/a/b/', '/a/b', {}],
  ['/a/b', '/a/b//', undefined],
  ['/a/b', '/a', undefined],
  ['/a/b', '/a/b/c', undefined],
  ['/a.b', '/axb', undefined],
  ['/:a', '/x', { a: 'x' }],
  ['/:a', '/', undefined],
  ['/:a/:b', '/x/y/', { a: 'x', b: 'y' }],
  ['/:a/:b', '/x', undefined],
  ['/:a/:b?', '/x', { a: 'x' }],
  ['/:a/:b?', '/x/', { a: 'x' }],
  ['/:a/:b?', '/x/y', { a: 'x', b: 'y' }],
  ['/:a/:b?', '/x/y/z', undefined],
  ['/:a', '/%2F%C3%A9', { a: '/é' }],
  ['/:__proto__', '/x', JSON.parse('{"__proto__":"x"}')],
  ['*', '/a/b', { 0: '/a/b' }],
  ['/a/*', '/a/b/c', { 0: 'b/c' }],
  ['/a/*', '/a/', { 0: '' }],
  ['/a/*', '/a', undefined],
  ['/a/*', '/b/a', undefined],
];
for (const [pattern, path, expected] of matches) {
  test(`pattern ${pattern} and path ${path}`, async (t) => {
    const { peer, connection } = await setupOpen(t);
    let params;
    peer.handle('message', /** @type {string} */ (pattern), (req) => { params = req.params; });
    connection.receive(request({ path }));
    await settle();
    assert.deepEqual(params && Object.entries(params), expected && Object.entries(expected));
    assert.equal(connection.sent[0].status, expected ? 200 : 404);
  });
}

test('a pattern that is none throws', async (t) => {
  const { peer } = await setupOpen(t);
  for (const pattern of ['', 'a', '/a*', '*/a', '/*/a', '/:a?/b', '/:', '/:a-:b', '/a:b', '/ab+cd', '/(a)', '/a?', undefined]) {
    assert.throws(() => peer.handle('message', /** @type {string} */ (pattern), () => {}), TypeError, pattern);
  }
});

test('handlers start in order and do not wait for each other', async (t) => {
  const { peer, connection } = await setupOpen(t);
  const started = [];
  peer.handle('message', '*', (req) => {
    started.push(req.id);
    return req.id === 1 ? new Promise(() => {}) : undefined;
  });
  for (const id of [1, 2, 3]) connection.receive(request({ id }));
  await settle();
  assert.deepEqual(started, [1, 2, 3]);
  assert.deepEqual(connection.sent.map((m) => m.id), [2, 3]);
});

test('past 1,000 running handlers requests are refused', async (t) => {
  const { peer, connection } = await setupOpen(t);
  const waiting = [];
  peer.handle('message', '*', () => new Promise((resolve) => { waiting.push(resolve); }));
  for (let id = 0; id <= 1000; id++) connection.receive(request({ id }));
  await settle();
  assert.deepEqual(connection.sent, [{ status: 503, reason: 'too many requests', id: 1000 }]);
  waiting[0]();
  await settle();
  connection.receive(request({ id: 'next' }));
  assert.equal(waiting.length, 1001);
});

test('a reply waits for the next connection', async (t) => {
  const { peer, connections, tick } = await setupOpen(t);
  /** @type {any} */
  let answer;
  peer.handle('message', '*', (req) => {
    req.reply(180, 'ringing');
    return new Promise((resolve) => { answer = resolve; });
  });
  connections[0].receive(request());
  connections[0].drop();
  answer('yes');
  await tick(500);
  assert.deepEqual(connections[0].sent.map((m) => m.status), [180]);
  connections[1].open();
  assert.deepEqual(connections[1].sent, [{ status: 200, reason: 'OK', id: 'r1', data: 'yes' }]);
});

test('a reply has a status from 100 to 699', async (t) => {
  const { peer, connection } = await setupOpen(t);
  peer.handle('message', '*', (req) => {
    for (const status of [99, 700, 200.5, '200', undefined]) {
      assert.throws(() => req.reply(/** @type {number} */ (status)), RangeError);
    }
    req.reply(100);
    req.reply(699);
  });
  connection.receive(request());
  await settle();
  assert.deepEqual(connection.sent.map((m) => m.status), [100, 699]);
});

test('a reply says when it was dropped', async (t) => {
  const { peer, connection } = await setupOpen(t, { maxQueuedBytes: 100 });
  /** @type {any} */
  let req;
  peer.handle('message', '*', (r) => {
    req = r;
    return new Promise(() => {});
  });
  connection.receive(request());
  assert.equal(req.reply(180, 'x'.repeat(200)), false);
  assert.equal(req.signal.aborted, false);
  peer.close();
  assert.equal(req.signal.aborted, true);
  assert.equal(req.reply(200), false);
  assert.deepEqual(connection.sent, []);
});

test('a handler may ask its own peer and pass the rejection on', async (t) => {
  const { peer, connection } = await setupOpen(t);
  peer.handle('message', '*', (req) => req.peer.request('message', '/elsewhere'));
  connection.receive(request());
  connection.answer(404, 'peer not found');
  await settle();
  assert.deepEqual(connection.sent.at(-1), { status: 404, reason: 'peer not found', id: 'r1' });
});

test('handlers can be registered before the connection is open', async (t) => {
  const { peer, connection } = await setup(t);
  peer.handle('message', '*', () => 'in time');
  connection.open();
  connection.receive(request());
  await settle();
  assert.equal(connection.sent[0].data, 'in time');
});

test('a ProtooError must have a status that rejects', () => {
  for (const status of [0, 100, 200, 299, 700, 404.5, '404', undefined]) {
    assert.throws(() => new ProtooError(/** @type {number} */ (status)), RangeError);
  }
});
