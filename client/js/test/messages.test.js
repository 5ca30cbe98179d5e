import assert from 'node:assert/strict';
import { test } from 'node:test';
import { settle, setupOpen } from './fake.js';

test('send and receive show every frame', async (t) => {
  const { peer, connection } = await setupOpen(t);
  const frames = [];
  for (const type of /** @type {const} */ (['send', 'receive'])) {
    peer.addEventListener(type, ({ text, timeStamp }) => {
      assert.equal(typeof timeStamp, 'number');
      frames.push([type, text]);
    });
  }
  peer.handle('message', '*', () => 1);
  peer.request('message', '/a').catch(() => {});
  const { id } = connection.sent[0];
  connection.receive(' {"status":200,"reason":"","id":"unknown"}');
  connection.receive('{"method":"message","path":"/","id":5}');
  await settle();
  assert.deepEqual(frames, [
    ['send', `{"method":"message","path":"/a","id":"${id}"}`],
    ['receive', ' {"status":200,"reason":"","id":"unknown"}'],
    ['receive', '{"method":"message","path":"/","id":5}'],
    ['send', '{"status":200,"reason":"OK","id":5,"data":1}'],
  ]);
});

const bad = [
  '', 'nonsense', '{', '[]', 'null', 'true', '1', '"text"', '{}', '{"id":"a"}', '{"id":"a","method":"m"} x',
  '{"method":"m","path":"/"}',
  '{"method":"m","path":"/","id":""}',
  '{"method":"m","path":"/","id":-1}',
  '{"method":"m","path":"/","id":1.5}',
  '{"method":"m","path":"/","id":9007199254740992}',
  '{"method":"m","path":"/","id":null}',
  `{"method":"m","path":"/","id":"${'x'.repeat(129)}"}`,
  '{"method":"","path":"/","id":1}',
  '{"method":["m"],"path":"/","id":1}',
  '{"method":"m m","path":"/","id":1}',
  `{"method":"${'m'.repeat(65)}","path":"/","id":1}`,
  '{"method":"m","id":1}',
  '{"method":"m","path":"a","id":1}',
  '{"method":"m","path":["/"],"id":1}',
  `{"method":"m","path":"/${'x'.repeat(2048)}","id":1}`,
  '{"status":99,"reason":"","id":1}',
  '{"status":700,"reason":"","id":1}',
  '{"status":200.5,"reason":"","id":1}',
  '{"status":"200","reason":"","id":1}',
  '{"status":200,"id":1}',
  '{"status":200,"reason":1,"id":1}',
];
test('bad messages are dropped and shown', async (t) => {
  const { peer, connection, events } = await setupOpen(t);
  peer.handle('*', '*', () => assert.fail('must not be called'));
  for (const text of bad) connection.receive(text);
  await settle();
  assert.deepEqual(events.map((e) => [e.type, e.text]), bad.map((text) => ['badmessage', text]));
  for (const { reason, text } of events) assert.ok(reason.length > 5, text);
  assert.deepEqual(connection.sent, []);
});

test('a binary message is a bad one', async (t) => {
  const { connection, events } = await setupOpen(t);
  connection.onmessage({ data: new TextEncoder().encode('{"method":"m","path":"/","id":1}').buffer });
  assert.deepEqual(events.map((e) => e.type), ['badmessage']);
});

test('a response to nothing is ignored', async (t) => {
  const { peer, connection, events } = await setupOpen(t);
  const response = peer.request('message', '/');
  const { id } = connection.sent[0];
  for (const other of [1, 'x', '__proto__', 'constructor', id + ' ']) {
    connection.receive({ status: 200, reason: 'OK', id: other });
  }
  connection.receive({ status: 200, reason: 'mine', id, unknown: 'fields do no harm' });
  assert.equal((await response).reason, 'mine');
  assert.deepEqual(events, []);
});

test('whatever the server sends, the peer goes on', async (t) => {
  const { peer, connection } = await setupOpen(t);
  peer.handle('message', '/users/:username/*', (req) => req.data);
  const seeds = [
    '{"method":"message","path":"/users/alice/%41","id":"a","data":{"x":[1,2]},"sender":{"username":"b"}}',
    '{"status":200,"reason":"OK","id":"a","data":null}',
    ...bad,
  ];
  let state = 1;
  const random = (n) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 8) % n;
  };
  for (let i = 0; i < 20_000; i++) {
    let text = seeds[random(seeds.length)];
    for (let n = random(4); n >= 0; n--) {
      const at = random(text.length + 1);
      const piece = ['"', '{', '}', ':', ',', '/', '%', '\\u0000', '__proto__', 'id', '1e9', '-'][random(12)];
      text = text.slice(0, at) + piece + text.slice(at + random(3));
    }
    connection.receive(text);
  }
  await settle();
  const response = peer.request('message', '/');
  connection.answer(200, 'still here');
  assert.equal((await response).reason, 'still here');
});
