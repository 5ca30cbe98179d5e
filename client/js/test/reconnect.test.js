import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect } from '../protoo.js';
import { FakeConnection, fakePeer, settle, setup, setupOpen } from './fake.js';

test('identity and token go into the query, encoded', async (t) => {
  const { connection } = await setup(t, { username: 'al&ice ü', token: 'a+b/=' });
  assert.equal(connection.url.href,
    'ws://server.test/protoo?username=al%26ice+%C3%BC&uuid=phone&token=a%2Bb%2F%3D');
  const bare = await fakePeer(t, { username: undefined, uuid: undefined });
  assert.equal(bare.connection.url.href, 'ws://server.test/protoo');
});

test('open, ready and state', async (t) => {
  const { peer, connection, events } = await setup(t);
  assert.deepEqual([peer.username, peer.uuid, peer.state], ['alice', 'phone', 'connecting']);
  connection.open();
  assert.equal(peer.state, 'open');
  await peer.ready;
  assert.deepEqual(events, [{ type: 'open' }]);
  peer.close();
  assert.equal(peer.state, 'closed');
  assert.deepEqual(connection.closedWith, [1000, 'normal closure']);
  assert.deepEqual(events.slice(1), [{ type: 'close', code: 1000, reason: 'normal closure' }]);
  peer.close();
  connection.drop(1000);
  assert.equal(events.length, 2, 'nothing follows close');
});

test('nothing happens before connect has returned', async (t) => {
  const peer = connect('ws://server.test', { transports: [() => { throw new Error('no'); }] });
  t.after(() => peer.close());
  const reasons = [];
  peer.addEventListener('reconnecting', ({ reason }) => reasons.push(reason));
  await settle();
  assert.deepEqual(reasons, ['no']);
});

test('ready rejects when the peer is closed before it opened', async (t) => {
  const { peer, connection } = await setup(t);
  connection.drop(1008, 'no such user');
  await assert.rejects(peer.ready, { status: 410, local: true, data: { code: 1008, reason: 'no such user' } });
});

test('the wait doubles up to the cap, with full jitter', async (t) => {
  const { connections, events, tick } = await setup(t);
  const random = [1, 0.5, 0, 1, 1, 1, 1, 0.25];
  t.mock.method(Math, 'random', () => random.shift());
  const expected = [500, 500, 0, 4000, 8000, 16_000, 30_000, 7500];
  for (const [i, delay] of expected.entries()) {
    connections[i].drop(1006, '');
    assert.deepEqual(events[i], { type: 'reconnecting', code: 1006, reason: '', attempt: i + 1, delay });
    if (delay > 0) {
      await tick(delay - 1);
      assert.equal(connections.length, i + 1, 'too early');
    }
    await tick(1);
    assert.equal(connections.length, i + 2);
  }
});

test('base and cap can be set', async (t) => {
  const { connections, events, tick } = await setup(t, { reconnect: { base: 10, cap: 25 } });
  for (let i = 0; i < 3; i++) {
    connections[i].drop();
    await tick(25);
  }
  assert.deepEqual(events.map((e) => e.delay), [10, 20, 25]);
});

/** Fails twice, so that the next wait is 2,000 ms unless the backoff starts again. */
async function afterTwoFailures(t, options) {
  const all = await setup(t, options);
  all.connection.drop();
  await all.tick(500);
  all.connection.drop();
  await all.tick(1000);
  all.connection.open();
  return all;
}

const resets = [
  [1006, 5000, 500],
  [1006, 4999, 2000],
  [1011, 60_000, 500],
  [1012, 60_000, 2000],
  [1013, 60_000, 2000],
];
for (const [code, lived, delay] of resets) {
  test(`a connection closed with ${code} after ${lived} ms: the next wait is ${delay} ms`, async (t) => {
    const { connection, events, tick } = await afterTwoFailures(t);
    await tick(lived);
    connection.drop(code, 'x');
    assert.equal(events.at(-1).delay, delay);
  });
}

/** @type {[number, string, number, number[]][]} */
const hints = [
  [1012, 'restart; reconnect in 1500 ms', 5000, [1500, 1000]],
  [1013, 'busy; reconnect in 60000 ms', 5000, [60_000, 1000]],
  [1012, 'restart; reconnect in 0 ms', 5000, [0, 1000]],
  [1012, 'restart; reconnect in 0 ms', 4999, [2000, 4000]],
  [1012, 'restart; reconnect in 7000 ms', 4999, [7000, 4000]],
  [1001, 'restart; reconnect in 1500 ms', 5000, [500, 1000]],
  [1012, 'restart; reconnect in 60001 ms', 5000, [2000, 4000]],
  [1012, 'restart; reconnect in 01 ms', 5000, [2000, 4000]],
  [1012, 'restart; reconnect in 1.5 ms', 5000, [2000, 4000]],
  [1012, 'restart; reconnect in -1 ms', 5000, [2000, 4000]],
  [1012, 'restart; reconnect in 1 ms ', 5000, [2000, 4000]],
  [1012, 'restart; reconnect in 1 ms\n', 5000, [2000, 4000]],
  [1012, 'reconnect in 1 ms', 5000, [2000, 4000]],
];
for (const [code, reason, lived, [first, second]] of hints) {
  test(`closed with ${code} ${JSON.stringify(reason)} after ${lived} ms: the waits are ${first} and ${second} ms`, async (t) => {
    const { connection, connections, events, tick } = await afterTwoFailures(t);
    await tick(lived);
    connection.drop(code, reason);
    assert.equal(events.at(-1).delay, first);
    if (first > 0) {
      await tick(first - 1);
      assert.equal(connections.length, 3, 'too early');
    }
    await tick(1);
    assert.equal(connections.length, 4);
    connections[3].drop();
    assert.equal(events.at(-1).delay, second);
  });
}

test('reconnected comes after open only', async (t) => {
  const { connections, events, tick } = await setup(t);
  connections[0].drop();
  await tick(500);
  connections[1].open();
  connections[1].drop();
  await tick(1000);
  connections[2].open();
  assert.deepEqual(events.map((e) => e.type), ['reconnecting', 'open', 'reconnecting', 'reconnected']);
});

for (const code of [1001, 1002, 1003, 1005, 1006, 1007, 1009, 1011, 1012, 1013, 3001, 4000]) {
  test(`code ${code} reconnects`, async (t) => {
    const { peer, connections, connection, events, tick } = await setupOpen(t);
    connection.drop(code, 'why');
    assert.equal(peer.state, 'connecting');
    assert.deepEqual(events, [{ type: 'reconnecting', code, reason: 'why', attempt: 1, delay: 500 }]);
    await tick(500);
    assert.equal(connections.length, 2);
  });
}

for (const code of [1000, 1008, 3000, 4401, 4403]) {
  test(`code ${code} is for good`, async (t) => {
    const { peer, connections, connection, events, tick } = await setupOpen(t);
    connection.drop(code, 'why');
    assert.equal(peer.state, 'closed');
    await tick(60_000);
    assert.equal(connections.length, 1);
    const types = code === 3000 ? ['replaced', 'close'] : ['close'];
    assert.deepEqual(events, types.map((type) => ({ type, code, reason: 'why' })));
  });
}

test('a token that has expired is replaced by what its function returns', async (t) => {
  let tokens = 0;
  const { connections, connection, events, tick } = await setupOpen(t, { token: () => `token${++tokens}` });
  await tick(5000);
  connection.drop(4401, 'token expired');
  assert.equal(events.at(-1).type, 'reconnecting');
  await tick(500);
  assert.equal(connections.length, 2);
  assert.equal(tokens, 2);
  connections[1].open();
  await tick(4999);
  connections[1].drop(4401, 'not a good token either');
  assert.equal(events.at(-1).type, 'close');
});

test('close from a listener of replaced closes once', async (t) => {
  const { peer, connection, events } = await setupOpen(t);
  peer.addEventListener('replaced', () => {
    assert.equal(peer.state, 'closed');
    peer.close();
  });
  connection.drop(3000, 'online elsewhere');
  assert.deepEqual(events.map((e) => e.type), ['replaced', 'close']);
});

test('reconnect: false is for good', async (t) => {
  const { connections, connection, events, tick } = await setupOpen(t, { reconnect: false });
  connection.drop(1006, '');
  await tick(60_000);
  assert.deepEqual(events, [{ type: 'close', code: 1006, reason: '' }]);
  assert.equal(connections.length, 1);
});

test('a request that was sent waits through a reconnection until its deadline', async (t) => {
  const { peer, connections, tick } = await setupOpen(t);
  const answered = peer.request('message', '/answered');
  const late = [];
  peer.request('message', '/late', undefined, { timeout: 2000 }).catch((error) => late.push(error.status));
  const { id } = connections[0].sent[0];
  connections[0].drop();
  await tick(500);
  connections[1].open();
  assert.deepEqual(connections[1].sent, [], 'it is not sent twice');
  connections[1].receive({ status: 200, reason: 'held for you', id });
  assert.equal((await answered).reason, 'held for you');
  await tick(1499);
  assert.deepEqual(late, []);
  await tick(1);
  assert.deepEqual(late, [408]);
});

test('close while waiting, while opening, and from a listener', async (t) => {
  const waiting = await setupOpen(t);
  waiting.connection.drop();
  waiting.peer.close();
  await waiting.tick(60_000);
  assert.equal(waiting.connections.length, 1);

  const opening = await fakePeer(t);
  opening.peer.close(3001, 'never mind');
  assert.deepEqual(opening.connection.closedWith, [3001, 'never mind']);
  opening.connection.open();
  assert.deepEqual(opening.events, [{ type: 'close', code: 3001, reason: 'never mind' }]);

  const listening = await fakePeer(t);
  listening.peer.addEventListener('reconnecting', () => listening.peer.close());
  listening.connection.drop();
  await listening.tick(60_000);
  assert.equal(listening.connections.length, 1);
  assert.equal(listening.peer.state, 'closed');
});

test('close takes the codes an application may use', async (t) => {
  const { peer } = await setupOpen(t);
  for (const code of [0, 999, 1001, 1006, 2999, 5000, NaN]) {
    assert.throws(() => peer.close(code), RangeError);
  }
  assert.equal(peer.state, 'open');
  for (const code of [1000, 3000, 4999]) {
    const { peer, connection, events } = await fakePeer(t);
    peer.close(code, 'bye');
    assert.deepEqual(connection.closedWith, [code, 'bye']);
    assert.deepEqual(events, [{ type: 'close', code, reason: 'bye' }]);
  }
});

test('a connection that does not open in time is given up', async (t) => {
  const { connections, connection, events, tick } = await setup(t, { connectTimeout: 3000 });
  await tick(2999);
  assert.deepEqual(events, []);
  await tick(1);
  assert.deepEqual(events, [{ type: 'reconnecting', code: 1006, reason: 'connect timeout', attempt: 1, delay: 500 }]);
  assert.deepEqual(connection.closedWith, []);
  connection.open();
  assert.equal(events.length, 1, 'too late');
  await tick(500);
  connections[1].open();
  await tick(60_000);
  assert.deepEqual(events.slice(1), [{ type: 'open' }]);
});

test('a connection that was given up is not heard', async (t) => {
  const { peer, connections, events, tick } = await setupOpen(t);
  connections[0].drop();
  await tick(500);
  connections[1].open();
  events.length = 0;
  connections[0].receive('no JSON');
  connections[0].drop(3000, 'online elsewhere');
  connections[0].onerror({ message: 'late' });
  await tick(1);
  assert.deepEqual(events, []);
  assert.equal(peer.state, 'open');
});

test('an error loses the connection, unless a close event tells more', async (t) => {
  const { connections, events, tick } = await setup(t);
  connections[0].onerror({ message: 'connection refused' });
  await tick(1);
  assert.deepEqual(events, [{ type: 'reconnecting', code: 1006, reason: 'connection refused', attempt: 1, delay: 500 }]);
  await tick(500);
  connections[1].open();
  connections[1].onerror({});
  connections[1].drop(3000, 'online elsewhere');
  await tick(1);
  assert.deepEqual(events.slice(1).map((e) => e.type), ['open', 'replaced', 'close']);
});

test('the token function is asked for every connection', async (t) => {
  let n = 0;
  const { connections, tick } = await setup(t, { token: async () => `t${++n}` });
  connections[0].drop();
  await tick(500);
  assert.deepEqual(connections.map((c) => c.url.searchParams.get('token')), ['t1', 't2']);
});

test('a token function that fails is a failed attempt, one that hangs as well', async (t) => {
  /** @type {any[]} */
  const results = [Promise.reject(new Error('401')), new Promise(() => {}), 'good'];
  const token = () => results.shift();
  const { connections, events, tick } = await setup(t, { token });
  assert.deepEqual(events, [{ type: 'reconnecting', code: 1006, reason: '401', attempt: 1, delay: 500 }]);
  await tick(500);
  await tick(10_000);
  assert.equal(events[1].reason, 'connect timeout');
  await tick(1000);
  assert.deepEqual(connections.map((c) => c.url.searchParams.get('token')), ['good']);
});

test('a peer closed while its token was fetched opens nothing', async (t) => {
  /** @type {any} */
  let give;
  const token = () => new Promise((resolve) => { give = resolve; });
  const { peer, connections } = await setup(t, { token });
  peer.close();
  give('late');
  await settle();
  assert.equal(connections.length, 0);
});

test('transports take turns until one opens', async (t) => {
  const tried = [];
  /** @type {FakeConnection[]} */
  const connections = [];
  const transports = ['a', 'b'].map((name) => () => {
    tried.push(name);
    connections.push(new FakeConnection());
    return connections[connections.length - 1];
  });
  const { tick } = await setup(t, { transports });
  connections[0].drop();
  await tick(500);
  connections[1].open();
  connections[1].drop();
  await tick(1000);
  connections[2].drop();
  await tick(2000);
  assert.deepEqual(tried, ['a', 'b', 'b', 'a']);
});

test('a signal closes the peer', async (t) => {
  const controller = new AbortController();
  const { peer, connection } = await setupOpen(t, { signal: controller.signal });
  controller.abort();
  assert.equal(peer.state, 'closed');
  assert.deepEqual(connection.closedWith, [1000, 'normal closure']);
  assert.throws(() => connect('ws://server.test', { signal: controller.signal }), { name: 'AbortError' });
});

test('what cannot work throws at once', (t) => {
  assert.throws(() => connect('no url', { WebSocket: class {} }), TypeError);
  const { WebSocket } = globalThis;
  t.after(() => { globalThis.WebSocket = WebSocket; });
  // @ts-expect-error not optional, says the DOM
  delete globalThis.WebSocket;
  assert.throws(() => connect('ws://server.test'), /hand one in/);
});
