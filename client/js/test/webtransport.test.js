// The client over WebTransport, with a class of the test's own. What browsers make of it is tested in e2e/browser.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { webtransport } from '../protoo.js';
import { fakePeer, settle as settleOnce, setup } from './fake.js';
import { fakeWebTransport } from './fake-webtransport.js';

/** Lets messages be handled, of which each has a task of its own. */
async function settle(messages = 20) {
  for (let i = 0; i < messages; i++) await settleOnce();
}

const CLOSE = 8;
/** A frame with a short payload. @type {(opcode: number, payload?: string | Buffer) => Buffer} */
const frame = (opcode, payload = '') => Buffer.concat([Buffer.from([opcode, Buffer.byteLength(payload)]), Buffer.from(/** @type {any} */ (payload))]);
const closeFrame = (code, reason = '') => frame(CLOSE, Buffer.concat([Buffer.from([code >> 8, code]), Buffer.from(reason)]));
const PING = '0900';

/**
 * A connection, and what it has told.
 *
 * @param {import('../protoo.js').ConnectOptions} [options]
 */
async function open(options) {
  const { WebTransport, sessions } = fakeWebTransport();
  const connection = webtransport(new URL('wss://server.test/protoo?username=alice'), { WebTransport, ...options });
  const [session] = sessions;
  /** @type {any[]} */ const messages = [];
  /** @type {any[]} */ const events = [];
  connection.onopen = () => events.push('open');
  connection.onmessage = ({ data }) => messages.push(data);
  connection.onclose = ({ code, reason }) => events.push([code, reason]);
  session.accept();
  await settle();
  assert.deepEqual(events.splice(0), ['open']);
  assert.equal(session.written.toString('hex'), PING);
  session.written = Buffer.alloc(0);
  return { connection, session, messages, events };
}

const url = new URL('../../../testdata/webtransport/frames.json', import.meta.url);
const vectors = JSON.parse(await readFile(url, 'utf8'));
const bytesOf = (terms) => Buffer.concat(terms.map((term) => {
  const [, kind, rest] = term.match(/^(\w+):(.*)$/);
  return kind === 'hex' ? Buffer.from(rest, 'hex') : Buffer.from(kind === 's' ? rest : 'x'.repeat(Number(rest)));
}));
const cuts = {
  'in one piece': (bytes) => [bytes],
  'byte by byte': (bytes) => bytes.length > 2000 ? [] : [...bytes].map((byte) => Buffer.from([byte])),
  'in two pieces': (bytes) => [bytes.subarray(0, bytes.length >> 1), bytes.subarray(bytes.length >> 1)],
  'in pieces of seven': (bytes) => Array.from({ length: Math.ceil(bytes.length / 7) }, (_, i) => bytes.subarray(i * 7, i * 7 + 7)),
};

test('vectors: what comes', async () => {
  assert.ok(vectors.length > 50);
  for (const { name, bytes, frames, code } of vectors) {
    const stream = bytesOf(bytes);
    for (const [how, cut] of Object.entries(cuts)) {
      const pieces = cut(stream);
      if (!pieces.length) continue;
      const { session, messages, events } = await open({ maxReceived: 65_536 });
      session.receive(...pieces);
      await settle(5 + frames.length + pieces.length / 50);
      /** @type {Record<string, any[]>} */
      const wanted = { messages: [], answers: [], events: [] };
      for (const { op, payload } of frames) {
        const data = bytesOf(payload);
        if (op === 1) wanted.messages.push(name.includes('not UTF-8') ? data.toString('hex') : data.toString());
        if (op === 2) wanted.messages.push(data.toString('hex'));
        if (op === 9) wanted.answers.push(frame(10, data));
        if (op === 8) {
          wanted.answers.push(frame(8, data));
          wanted.events.push(data.length ? [data.readUInt16BE(), data.subarray(2).toString()] : [1005, '']);
        }
      }
      const said = messages.map((m) => (typeof m === 'string' ? m : Buffer.from(m).toString('hex')));
      assert.deepEqual(said, wanted.messages, `${name}, ${how}`);
      if (code) {
        assert.deepEqual(events.map(([code]) => code), [code], `${name}, ${how}`);
        assert.equal(session.written.readUInt16BE(session.written.indexOf(CLOSE) + 2), code, name);
        assert.ok(session.finished, name);
      } else {
        const answers = Buffer.concat(wanted.answers);
        const longPong = answers.length > 125; // whose length has two bytes
        if (!longPong) assert.equal(session.written.toString('hex'), answers.toString('hex'), `${name}, ${how}`);
        assert.deepEqual(events, wanted.events, `${name}, ${how}`);
      }
      session.fail();
    }
  }
});

test('vectors: what goes out', async () => {
  const { connection, session } = await open();
  let checked = 0;
  for (const { name, bytes, frames, canonical } of vectors) {
    if (!canonical || !frames.length || frames.some(({ op }) => op !== 1) || name.includes('not UTF-8')) continue;
    session.written = Buffer.alloc(0);
    for (const { payload } of frames) connection.send(bytesOf(payload).toString());
    await settle();
    assert.equal(session.written.toString('hex'), bytesOf(bytes).toString('hex'), name);
    checked++;
  }
  assert.ok(checked > 15);
  session.fail();
});

/** @type {[string, string][]} */
const addresses = [
  ['wss://server.test/protoo?username=a%20b', 'https://server.test/protoo?username=a%20b'],
  ['https://server.test:8443/protoo', 'https://server.test:8443/protoo'],
  ['ws://127.0.0.1:8080/', 'https://127.0.0.1:8080/'],
  ['http://server.test/protoo', 'https://server.test:80/protoo'],
  ['http://[::1]:8080/protoo', 'https://[::1]:8080/protoo'],
];
for (const [from, to] of addresses) {
  test(`${from} is ${to}`, () => {
    const { WebTransport, sessions } = fakeWebTransport();
    webtransport(new URL(from), { WebTransport });
    assert.equal(sessions[0].url, to);
    assert.deepEqual(sessions[0].options, { protocols: ['protoo'], serverCertificateHashes: [] });
    sessions[0].fail();
  });
}

test('the server closes: code and reason at once, an answer, the end of the stream', async () => {
  const { connection, session, events } = await open();
  connection.send('{}');
  session.receive(Buffer.concat([frame(1, 'last words'), closeFrame(3000, 'online elsewhere ü')]));
  await settle();
  assert.deepEqual(events, [[3000, 'online elsewhere ü']]);
  assert.equal(connection.readyState, 3);
  assert.equal(session.written.toString('hex'), Buffer.concat([frame(1, '{}'), closeFrame(3000, 'online elsewhere ü')]).toString('hex'));
  assert.ok(session.finished);
  assert.equal(session.closedWith, undefined, 'it is for the server to end the session');
  session.finish();
  session.end(3000, 'online elsewhere ü');
  await settle();
  connection.close();
  assert.equal(events.length, 1);
});

test('the server closes, and does not end the session: it is ended after a second', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { session } = await open();
  session.receive(closeFrame(1001, 'shutting down'));
  session.finish();
  await settle();
  t.mock.timers.tick(999);
  await settle();
  assert.equal(session.over, false);
  t.mock.timers.tick(1);
  await settle();
  assert.ok(session.over);
});

test('the client closes: a frame behind what was sent, the end of the stream, and with the answer that of the session', async () => {
  const { connection, session, events, messages } = await open();
  connection.send('{}');
  connection.close(3001, 'bye');
  assert.equal(connection.readyState, 2);
  connection.close(3002, 'again');
  await settle();
  assert.equal(session.written.toString('hex'), Buffer.concat([frame(1, '{}'), closeFrame(3001, 'bye')]).toString('hex'));
  assert.ok(session.finished);
  assert.equal(session.over, false);
  session.receive(Buffer.concat([frame(1, 'too late'), frame(9), closeFrame(3001, 'bye')]));
  await settle();
  assert.deepEqual(messages, []);
  assert.deepEqual(session.closedWith, { closeCode: 3001, reason: 'bye' });
  assert.deepEqual(events, [[3001, 'bye']]);
});

test('the client closes without a code', async () => {
  const { connection, session } = await open();
  connection.close();
  await settle();
  assert.equal(session.written.toString('hex'), '0800');
  session.fail();
});

test('the client closes, and gets no answer: the session is ended after a second, with the code', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { connection, session, events } = await open();
  connection.close(3001, 'bye');
  await settle();
  t.mock.timers.tick(999);
  await settle();
  assert.equal(session.over, false);
  t.mock.timers.tick(1);
  await settle();
  assert.deepEqual(session.closedWith, { closeCode: 3001, reason: 'bye' });
  assert.deepEqual(events, [[3001, 'bye']]);
});

test('the client closes: what it has sent before has ten seconds to leave', async (t) => {
  for (const late of [9000, 20_000]) {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { connection, session } = await open();
    session.block();
    connection.send('{}');
    connection.close(3001, 'bye');
    await settle();
    t.mock.timers.tick(Math.min(late, 9999));
    await settle();
    assert.equal(session.over, false);
    if (late < 10_000) {
      session.unblock();
      await settle();
      assert.equal(session.written.toString('hex'), Buffer.concat([frame(1, '{}'), closeFrame(3001, 'bye')]).toString('hex'));
    }
    t.mock.timers.tick(1000);
    await settle();
    assert.deepEqual(session.closedWith, { closeCode: 3001, reason: 'bye' });
    session.unblock();
    t.mock.timers.reset();
  }
});

test('the client closes before the session is ready', async () => {
  const { WebTransport, sessions } = fakeWebTransport();
  const connection = webtransport(new URL('https://server.test'), { WebTransport });
  const events = [];
  connection.onopen = () => events.push('open');
  connection.onclose = ({ code }) => events.push(code);
  connection.close();
  connection.close();
  await settle();
  assert.ok(sessions[0].over);
  assert.deepEqual(events, [1006]);
});

test('the client closes while it opens the stream', async () => {
  const { WebTransport, sessions } = fakeWebTransport();
  const connection = webtransport(new URL('https://server.test'), { WebTransport });
  const events = [];
  connection.onopen = () => events.push('open');
  connection.onclose = ({ code }) => events.push(code);
  sessions[0].accept();
  await Promise.resolve();
  await Promise.resolve();
  connection.close();
  await settle();
  assert.ok(sessions[0].over);
  assert.deepEqual(events, [1005]);
});

/** How a session can end without a close frame. @type {[string, (session: any) => void, [number, string]][]} */
const ends = [
  ['with a code', (s) => s.end(1013, 'too slow'), [1013, 'too slow']],
  ['without a code', (s) => s.end(0, ''), [1005, '']],
  ['because it is lost', (s) => s.fail('Connection lost.'), [1006, 'Connection lost.']],
  ['after the end of the stream', async (s) => { s.finish(); await settle(); s.end(1001, 'shutting down'); }, [1001, 'shutting down']],
  ['after a reset of the stream', async (s) => { s.reset(); await settle(); s.end(1001, 'shutting down'); }, [1001, 'shutting down']],
  ['after a stop of the stream', async (s) => { s.reset({ reading: false }); await settle(); s.receive(closeFrame(4000, 'x')); }, [4000, 'x']],
];
for (const [how, end, expected] of ends) {
  test(`the session ends ${how}`, async () => {
    const { session, connection, events } = await open();
    await end(session);
    await settle();
    assert.deepEqual(events, [expected]);
    assert.equal(connection.readyState, 3);
    session.fail();
  });
}

for (const direction of [{ reading: false }, { writing: false }]) {
  test(`half of the stream is gone, ${JSON.stringify(direction)}, and nobody says why`, async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { session, connection, events } = await open();
    session.reset(direction);
    await settle();
    assert.equal(connection.readyState, 2, 'nothing is sent any more');
    t.mock.timers.tick(1000);
    await settle();
    assert.deepEqual(events, [[1006, '']]);
    assert.ok(session.over);
  });
}

test('no session, no stream', async () => {
  for (const cause of ['session', 'stream']) {
    const { WebTransport, sessions } = fakeWebTransport();
    const connection = webtransport(new URL('https://server.test'), { WebTransport });
    const closed = new Promise((resolve) => { connection.onclose = ({ code, reason }) => resolve([code, reason]); });
    const [session] = sessions;
    if (cause === 'session') {
      session.fail('Opening handshake failed.');
      assert.deepEqual(await closed, [1006, 'Opening handshake failed.']);
    } else {
      session.refuseStreams = true;
      session.accept();
      assert.deepEqual(await closed, [1006, '']);
      assert.ok(session.over);
    }
  }
});

test('bufferedAmount is what the network has not taken', async () => {
  const { connection, session } = await open();
  assert.equal(connection.bufferedAmount, 0);
  session.block();
  connection.send('é'.repeat(100));
  connection.send('x');
  assert.equal(connection.bufferedAmount, 203 + 3);
  await settle();
  assert.equal(connection.bufferedAmount, 203 + 3);
  session.unblock();
  await settle();
  assert.equal(connection.bufferedAmount, 0);
  session.fail();
});

test('a close frame with half a code', async () => {
  const { session, events } = await open();
  session.receive(Buffer.from([8, 1, 3]));
  await settle();
  assert.deepEqual(events, [[1002, 'close frame with half a code']]);
  session.fail();
});

test('a message is 1 MiB at most, unless maxReceived says otherwise', async () => {
  const { session, events } = await open();
  session.receive(Buffer.from([1, 0x80, 0x10, 0, 1]));
  await settle();
  assert.deepEqual(events, [[1009, 'message of more than 1048576 bytes']]);
  session.fail();
});

test('whatever bytes come, the connection ends or goes on', async () => {
  let state = 1;
  const random = (n) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 8) % n;
  };
  for (let i = 0; i < 300; i++) {
    const { session, connection, messages } = await open();
    const bytes = Buffer.from(Array.from({ length: random(60) }, () => [0, 1, 2, 8, 9, 10, 0x40, 0x80, 0xff, random(256)][random(10)]));
    session.receive(bytes, frame(1, 'x'));
    await settle();
    assert.ok(connection.readyState === 1 || connection.readyState === 3);
    for (const message of messages) assert.ok(typeof message === 'string' || message instanceof ArrayBuffer);
    session.fail();
    await settle();
    assert.equal(connection.readyState, 3);
  }
});

/** A peer over WebTransport. */
async function openPeer(t, options) {
  const { WebTransport, sessions } = fakeWebTransport();
  const all = await setup(t, { WebTransport, transport: 'webtransport', transports: undefined, ...options });
  sessions[0].accept();
  await settle();
  all.events.length = 0;
  sessions[0].written = Buffer.alloc(0);
  return { ...all, sessions, session: sessions[0] };
}

test('a peer: request, answer, a request from the server, bad messages', async (t) => {
  const { peer, session, events } = await openPeer(t);
  assert.deepEqual([peer.state, peer.transport], ['open', 'webtransport']);
  assert.equal(session.url, 'https://server.test:80/protoo?username=alice&uuid=phone');
  const response = peer.request('message', '/echo', 'ü');
  await settle();
  const [, size] = session.written;
  const { id, ...rest } = JSON.parse(session.written.subarray(2, 2 + size).toString());
  assert.deepEqual(rest, { method: 'message', path: '/echo', data: 'ü' });
  session.receive(frame(1, JSON.stringify({ status: 200, reason: 'OK', id, data: 'ü' })));
  assert.deepEqual(await response, { status: 200, reason: 'OK', data: 'ü' });
  peer.handle('message', '*', ({ data }) => `got ${data}`);
  session.written = Buffer.alloc(0);
  session.receive(frame(1, '{"method":"message","path":"/","id":1,"data":"it"}'));
  await settle();
  assert.equal(session.written.subarray(2).toString(), '{"status":200,"reason":"OK","id":1,"data":"got it"}');
  session.receive(frame(2, '{"status":200,"reason":"OK","id":1}'), frame(1, Buffer.from([0x22, 0xff, 0x22])), frame(1, '\ufeff{}'));
  await settle();
  assert.deepEqual(events.map((e) => e.type), ['badmessage', 'badmessage', 'badmessage']);
});

test('a peer: what an answer sets off happens before the next message, which may have come with it', async (t) => {
  const { peer, session } = await openPeer(t);
  const happened = [];
  const ask = async () => (await peer.request('message', '/presence')).data;
  const wrapped = async () => { happened.push(await ask()); };
  peer.handle('presence', '*', ({ data }) => { happened.push(data); });
  wrapped();
  await settle();
  const { id } = JSON.parse(session.written.subarray(2).toString());
  const answer = frame(1, JSON.stringify({ status: 200, reason: 'OK', id, data: 'offline' }));
  const news = (data) => frame(1, `{"method":"presence","path":"/","id":1,"data":"${data}"}`);
  session.receive(Buffer.concat([answer, news('online')]), news('offline'), Buffer.concat([news('online'), closeFrame(1001)]));
  await settle();
  assert.deepEqual(happened, ['offline', 'online', 'offline', 'online']);
  assert.equal(peer.state, 'connecting');
  session.fail();
});

test('what has come before the session ended is still handled', async () => {
  const { session, messages, events } = await open();
  session.receive(Buffer.concat([frame(1, 'a'), frame(1, 'b'), frame(1, 'c'), closeFrame(4000, 'bye')]));
  await settleOnce();
  session.end(4000, 'from the session');
  await settle();
  assert.deepEqual(messages, ['a', 'b', 'c']);
  assert.deepEqual(events, [[4000, 'bye']]);
});

test('a peer: loss and reconnection', async (t) => {
  const { peer, sessions, events, tick } = await openPeer(t);
  sessions[0].fail('Connection lost.');
  await settle();
  assert.deepEqual(events, [{ type: 'reconnecting', code: 1006, reason: 'Connection lost.', attempt: 1, delay: 500 }]);
  assert.equal(peer.transport, undefined);
  await tick(500);
  sessions[1].accept();
  await settle();
  assert.equal(events[1].type, 'reconnected');
});

for (const [code, type] of /** @type {const} */ ([[4403, 'close'], [3000, 'replaced'], [1001, 'reconnecting']])) {
  test(`a peer: closed by the server with ${code}`, async (t) => {
    const { session, events } = await openPeer(t);
    session.receive(closeFrame(code, 'why'));
    await settle();
    assert.deepEqual([events[0].type, events[0].code, events[0].reason], [type, code, 'why']);
    session.fail();
  });
}

test('certificate hashes are asked for every connection', async (t) => {
  let n = 0;
  const serverCertificateHashes = async () => [{ algorithm: /** @type {const} */ ('sha-256'), value: Uint8Array.of(++n) }];
  const { sessions, tick } = await openPeer(t, { serverCertificateHashes });
  sessions[0].fail();
  await settle();
  await tick(500);
  assert.deepEqual(sessions.map((s) => s.options.serverCertificateHashes[0].value[0]), [1, 2]);
});

test('a close reason of more than 123 bytes is refused, whatever the transport', async (t) => {
  const { peer } = await fakePeer(t);
  assert.throws(() => peer.close(3000, 'ü'.repeat(62)), RangeError);
  assert.equal(peer.state, 'connecting');
  peer.close(3000, 'ü'.repeat(61));
  assert.equal(peer.state, 'closed');
});

test('a datagram is one frame', async (t) => {
  const { peer, session, events } = await openPeer(t, { datagrams: true });
  const sent = [];
  peer.addEventListener('send', ({ text }) => sent.push(text));
  assert.equal(peer.datagram('cursor', '/rooms/1', { x: 1 }), true);
  await settle();
  assert.equal(session.written.length, 0);
  const [datagram] = session.datagramsSent;
  assert.deepEqual([datagram[0], datagram[1]], [1, datagram.length - 2]);
  assert.equal(datagram.subarray(2).toString(), sent[0]);
  const { id, ...rest } = JSON.parse(sent[0]);
  assert.deepEqual(rest, { method: 'cursor', path: '/rooms/1', data: { x: 1 } });

  const got = [];
  peer.handle('cursor', '*', ({ data }) => { got.push(data); });
  session.receiveDatagram(frame(1, '{"method":"cursor","path":"/","id":1,"data":5}'));
  session.receiveDatagram(frame(1, `{"status":200,"reason":"ignored","id":"${id}"}`));
  await settle();
  assert.deepEqual(got, [5]);
  for (const garbage of [[], [1], [3, 0], [1, 9, 0x7b], [8, 2, 3, 0xe8], [1, 0x84, 0x7f], Buffer.alloc(1200, 1)]) session.receiveDatagram(garbage);
  await settle();
  assert.equal(events.length, 7);
  assert.ok(events.every(({ type }) => type === 'badmessage'));
  assert.equal(peer.state, 'open');
});

test('a datagram has 1,150 bytes at most', async (t) => {
  const { peer, session } = await openPeer(t, { datagrams: true });
  const data = (n) => 'x'.repeat(n);
  let n = 1000;
  for (; n < 1150; n++) {
    try {
      peer.datagram('cursor', '/', data(n));
    } catch (/** @type {any} */ error) {
      assert.deepEqual([error.status, error.local], [413, true]);
      break;
    }
  }
  await settle();
  assert.equal(session.datagramsSent.at(-1)?.length, 1150);
});

test('32 datagrams wait, and then the oldest go', async (t) => {
  const { peer, session } = await openPeer(t, { datagrams: true });
  session.block();
  for (let i = 0; i < 100; i++) assert.equal(peer.datagram('cursor', '/', i), true);
  await settle();
  session.unblock();
  await settle();
  assert.deepEqual(session.datagramsSent.map((d) => JSON.parse(d.subarray(d[1] < 64 ? 2 : 3).toString()).data),
    [0, ...Array.from({ length: 31 }, (_, i) => 69 + i)]);
  session.fail();
  await settle();
  assert.equal(peer.datagram('cursor', '/', 'lost'), false);
});

test('a datagram without datagrams goes like any message', async (t) => {
  const { peer, session } = await openPeer(t);
  peer.datagram('cursor', '/', 1);
  await settle();
  assert.equal(session.datagramsSent.length, 0);
  assert.match(session.written.toString(), /"cursor"/);
  const other = await fakePeer(t, { datagrams: true });
  assert.equal(other.peer.datagram('cursor', '/', 1), false, 'nothing waits for a connection');
  other.connection.open();
  assert.equal(other.peer.datagram('cursor', '/', 1), true);
  assert.equal(other.connection.sent[0].method, 'cursor');
});
