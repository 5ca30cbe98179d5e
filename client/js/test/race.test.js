// Which transport a peer takes, when it can have both.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect } from '../protoo.js';
import { FakeConnection, fakePeer, settle, setup } from './fake.js';
import { fakeWebTransport } from './fake-webtransport.js';

let hosts = 0;

/**
 * A peer that races, to a host that nothing is remembered of. `sessions` and `sockets` are what it has opened.
 *
 * @param {import('node:test').TestContext} t
 * @param {import('../protoo.js').ConnectOptions & { host?: string, scheme?: string }} [all]
 */
async function race(t, all = {}) {
  const { host = `host${++hosts}.test`, scheme = 'wss', ...options } = all;
  const { WebTransport, sessions } = fakeWebTransport();
  /** @type {FakeConnection[]} */
  const sockets = [];
  class WebSocket extends FakeConnection {
    constructor(url, protocol) {
      super(url);
      this.protocol = protocol;
      sockets.push(this);
    }
  }
  const url = `${scheme}://${host}/protoo`;
  return { ...await setup(t, { transports: undefined, WebTransport, WebSocket, ...options }, url), host, sessions, sockets };
}

/** Lets WebTransport be beaten, so that this is remembered of the host. */
async function beaten(t, options) {
  const all = await race(t, options);
  all.sessions[0].fail('Opening handshake failed.');
  await settle();
  all.sockets[0].open();
  assert.equal(all.peer.transport, 'websocket');
  return all;
}

async function again({ peer, sockets, sessions, tick }) {
  const before = { sockets: sockets.length, sessions: sessions.length };
  sockets.at(-1).drop();
  assert.equal(peer.transport, undefined);
  await tick(500);
  return { newSockets: sockets.slice(before.sockets), newSessions: () => sessions.slice(before.sessions) };
}

test('WebTransport has 500 ms', async (t) => {
  const { peer, sessions, sockets, events, tick } = await race(t);
  assert.equal(peer.transport, undefined);
  await tick(499);
  assert.deepEqual([sessions.length, sockets.length], [1, 0]);
  sessions[0].accept();
  await settle();
  assert.deepEqual([peer.state, peer.transport], ['open', 'webtransport']);
  await tick(60_000);
  assert.deepEqual([sessions.length, sockets.length], [1, 0]);
  assert.deepEqual(events, [{ type: 'open' }]);
});

test('WebSocket comes then, and may win', async (t) => {
  const { peer, sessions, sockets, events, tick } = await race(t);
  peer.request('message', '/early').catch(() => {});
  await tick(500);
  assert.equal(sockets.length, 1);
  assert.deepEqual([String(sockets[0].url), /** @type {any} */ (sockets[0]).protocol],
    [`wss://host${hosts}.test/protoo?username=alice&uuid=phone`, 'protoo']);
  assert.equal(sessions[0].over, false);
  sockets[0].open();
  await settle();
  assert.equal(peer.transport, 'websocket');
  assert.ok(sessions[0].over, 'the loser is closed');
  assert.deepEqual(sockets[0].sent.map((m) => m.path), ['/early']);
  sockets[0].drop(1001, 'shutting down');
  assert.deepEqual(events.map((e) => [e.type, e.code]), [['open', undefined], ['reconnecting', 1001]]);
});

test('WebTransport may win later', async (t) => {
  const { peer, sessions, sockets, events, tick } = await race(t);
  await tick(3000);
  sessions[0].accept();
  await settle();
  assert.equal(peer.transport, 'webtransport');
  assert.equal(sockets[0].readyState, 3, 'the loser is closed');
  sockets[0].drop();
  assert.deepEqual(events, [{ type: 'open' }]);
});

test('when WebTransport fails, WebSocket comes at once', async (t) => {
  const { peer, sessions, sockets } = await race(t);
  sessions[0].fail('Opening handshake failed.');
  await settle();
  assert.equal(sockets.length, 1);
  sockets[0].open();
  assert.equal(peer.transport, 'websocket');
});

test('when WebTransport cannot even begin, the same', async (t) => {
  class WebTransport {
    constructor() { throw new Error('not allowed'); }
  }
  const { sockets } = await race(t, { WebTransport });
  assert.equal(sockets.length, 1);
});

test('when both fail, the peer tries again', async (t) => {
  const { sessions, sockets, events, tick } = await race(t);
  await tick(500);
  sockets[0].drop();
  assert.deepEqual(events, []);
  sessions[0].fail('Opening handshake failed.');
  await settle();
  assert.deepEqual(events, [{ type: 'reconnecting', code: 1006, reason: 'Opening handshake failed.', attempt: 1, delay: 500 }]);
  await tick(500);
  assert.deepEqual([sessions.length, sockets.length], [2, 1], 'nobody has won, so WebTransport begins');
});

test('when both cannot even begin, the peer tries again', async (t) => {
  class Class {
    constructor() { throw new Error('not allowed'); }
  }
  const { events } = await race(t, { WebTransport: Class, WebSocket: Class });
  assert.deepEqual(events.map((e) => [e.type, e.reason]), [['reconnecting', 'not allowed']]);
});

test('a short connect timeout leaves time for both', async (t) => {
  const { peer, sockets, tick } = await race(t, { connectTimeout: 200 });
  await tick(100);
  sockets[0].open();
  assert.equal(peer.transport, 'websocket');
});

test('after the connect timeout both are closed', async (t) => {
  const { sessions, sockets, events, tick } = await race(t);
  await tick(500);
  await tick(9500);
  assert.deepEqual(events.map((e) => e.reason), ['connect timeout']);
  assert.ok(sessions[0].over);
  assert.equal(sockets[0].readyState, 3);
});

test('a peer that is closed in the middle of a race closes both', async (t) => {
  const { peer, sessions, sockets, tick } = await race(t);
  await tick(500);
  peer.close();
  assert.ok(sessions[0].over);
  assert.equal(sockets[0].readyState, 3);
  await tick(60_000);
  assert.deepEqual([sessions.length, sockets.length], [1, 1]);
});

test('where WebTransport was beaten, WebSocket comes first, and WebTransport 500 ms later', async (t) => {
  const first = await beaten(t);
  const { newSockets, newSessions } = await again(first);
  assert.deepEqual([newSockets.length, newSessions().length], [1, 0]);
  await first.tick(500);
  assert.equal(newSessions().length, 1);
  newSessions()[0].accept();
  await settle();
  assert.equal(first.peer.transport, 'webtransport', 'it has come back');
  newSessions()[0].fail();
  await settle();
  await first.tick(1000);
  assert.equal(newSessions().length, 2, 'and comes first again');
});

test('the next peer of the same host remembers, one of another host does not', async (t) => {
  const { host } = await beaten(t);
  t.mock.timers.reset();
  const next = await race(t, { host });
  assert.deepEqual([next.sessions.length, next.sockets.length], [0, 1]);
  t.mock.timers.reset();
  const other = await race(t);
  assert.deepEqual([other.sessions.length, other.sockets.length], [1, 0]);
});

test('that holds for ten minutes, however often WebSocket wins', async (t) => {
  const first = await beaten(t);
  await first.tick(5 * 60_000);
  const { newSockets } = await again(first);
  newSockets[0].open();
  await first.tick(5 * 60_000);
  const { newSessions, newSockets: none } = await again(first);
  assert.deepEqual([none.length, newSessions().length], [0, 1]);
});

/** A localStorage. */
function storage(t, broken = false) {
  const items = new Map();
  const check = () => { if (broken) throw new DOMException('full, or forbidden', 'QuotaExceededError'); };
  const localStorage = {
    getItem: (key) => { check(); return items.get(key) ?? null; },
    setItem: (key, value) => { check(); items.set(key, String(value)); },
    removeItem: (key) => { check(); items.delete(key); },
  };
  Object.defineProperty(globalThis, 'localStorage', { value: localStorage, configurable: true });
  t.after(() => { delete /** @type {any} */ (globalThis).localStorage; });
  return items;
}

test('localStorage keeps it', async (t) => {
  const items = storage(t);
  const { host, sockets, sessions, peer, tick } = await beaten(t);
  assert.deepEqual([...items], [[`protoo.websocket ${host}`, String(1_000_000 + 600_000)]]);
  sockets[0].drop();
  await tick(500);
  await tick(500);
  sessions[1].accept();
  await settle();
  assert.equal(peer.transport, 'webtransport');
  assert.deepEqual([...items], []);
});

test('what another page has learnt counts, unless its clock was wrong', async (t) => {
  const items = storage(t);
  for (const [until, first] of /** @type {const} */ ([[1_300_000, 'sockets'], [900_000, 'sessions'], [9_000_000, 'sessions'], ['x', 'sessions']])) {
    const host = `kept${until}.test`;
    items.set(`protoo.websocket ${host}`, String(until));
    const all = await race(t, { host });
    assert.equal(all[first].length, 1, String(until));
    t.mock.timers.reset();
  }
});

test('a localStorage that fails does no harm', async (t) => {
  storage(t, true);
  const { newSockets } = await again(await beaten(t));
  assert.equal(newSockets.length, 1);
});

// The server keeps the connection that it has seen last. When that is the one that was given up here, the other is closed with 3000.
test('a peer that its own second connection has replaced comes back', async (t) => {
  const { peer, sockets, events, tick } = await race(t);
  await tick(500);
  sockets[0].open();
  await tick(2999);
  sockets[0].drop(3000, 'online elsewhere');
  assert.deepEqual(events.map((e) => e.type), ['open', 'reconnecting']);
  await tick(500);
  sockets[1].open();
  assert.equal(peer.state, 'open');
  await tick(10);
  sockets[1].drop(3000, 'online elsewhere');
  assert.deepEqual(events.slice(2).map((e) => e.type), ['reconnected', 'replaced', 'close'], 'there was no race this time');
});

test('a peer that somebody else has replaced does not', async (t) => {
  for (const wait of [0, 500]) {
    const { sockets, sessions, events, tick } = await race(t);
    await tick(wait);
    if (wait) sockets[0].open();
    else sessions[0].accept();
    await settle();
    if (wait) await tick(3000);
    if (wait) sockets[0].drop(3000, 'online elsewhere');
    else sessions[0].end(3000, 'online elsewhere');
    await settle();
    assert.deepEqual(events.map((e) => e.type), ['open', 'replaced', 'close']);
    t.mock.timers.reset();
  }
});

const hashes = [{ algorithm: /** @type {const} */ ('sha-256'), value: new Uint8Array(32) }];
/** @type {[string, any, number, number][]} */
const choices = [
  ['a server without TLS', { scheme: 'ws' }, 0, 1],
  ['the same with http', { scheme: 'http' }, 0, 1],
  ['a server without TLS whose certificate is known', { scheme: 'ws', serverCertificateHashes: hashes }, 1, 0],
  ['a function that knows no certificate', { scheme: 'ws', serverCertificateHashes: () => undefined }, 0, 1],
  ['a function that knows one', { scheme: 'http', serverCertificateHashes: async () => hashes }, 1, 0],
  ['https', { scheme: 'https' }, 1, 0],
  ['websocket, chosen', { transport: 'websocket' }, 0, 1],
  ['webtransport, chosen', { transport: 'webtransport', scheme: 'ws' }, 1, 0],
  ['no WebTransport', { WebTransport: null }, 0, 1],
  ['no WebSocket', { WebSocket: null }, 1, 0],
];
for (const [name, options, sessions, sockets] of choices) {
  test(`${name}: ${sessions ? 'WebTransport' : 'WebSocket'}`, async (t) => {
    const all = await race(t, options);
    assert.deepEqual([all.sessions.length, all.sockets.length], [sessions, sockets]);
    if (options.transport) {
      await all.tick(5000);
      assert.deepEqual([all.sessions.length, all.sockets.length], [sessions, sockets], 'nothing else is tried');
    }
  });
}

test('a transport that there is not throws at once', () => {
  const WebSocket = class {};
  for (const transport of ['quic', '', null]) {
    assert.throws(() => connect('wss://server.test', { WebSocket, transport: /** @type {any} */ (transport) }), TypeError);
  }
  assert.throws(() => connect('wss://server.test', { WebSocket, transport: 'webtransport', WebTransport: null }), /no global WebTransport.*hand one in/);
  assert.throws(() => connect('wss://server.test', { WebSocket: null, transport: 'websocket' }), /no global WebSocket.*hand one in/);
});

test('a transport of your own has the name that it gives itself', async (t) => {
  const { peer, connection } = await fakePeer(t);
  connection.open();
  assert.equal(peer.transport, undefined);
  /** @type {any} */ (connection).transport = 'pigeon';
  assert.equal(peer.transport, 'pigeon');
});
