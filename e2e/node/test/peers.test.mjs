import assert from 'node:assert/strict';
import { once } from 'node:events';
import test from 'node:test';
import WebSocket from 'ws';
import { Peer, serve } from '../edge.mjs';

const limit = { timeout: 30_000 };

test('two peers send each other messages', limit, async (t) => {
  const edge = await serve(t);
  const alice = await Peer.connect(t, edge, 'alice', 'phone');
  const bob = await Peer.connect(t, edge, 'bob', 'laptop');

  const data = { text: 'Grüße, 🦊', list: [1, 2.5, null], 'ключ': true };
  const id = alice.send('message', '/users/bob', data);
  const message = await bob.request();
  assert.deepEqual(
    { method: message.method, path: message.path, data: message.data, sender: message.sender },
    { method: 'message', path: '/users/bob', data, sender: { username: 'alice', uuid: 'phone' } },
  );
  bob.reply(message, 180, 'reading');
  bob.reply(message, 200, 'read', { after: 3 });
  assert.deepEqual(await alice.response(), { status: 180, reason: 'reading', id });
  assert.deepEqual(await alice.response(), { status: 200, reason: 'read', id, data: { after: 3 } });

  bob.send('message', '/users/alice/phone', 'Hi Alice!');
  const back = await alice.request();
  assert.equal(back.data, 'Hi Alice!');
  alice.reply(back, 486, 'busy');
  assert.deepEqual(await bob.response(), { status: 486, reason: 'busy', id: '1' });

  alice.send('message', '/users/nobody');
  assert.deepEqual(await alice.response(), { status: 404, reason: 'peer not found', id: '2' });
});

test('a user is reached on all devices', limit, async (t) => {
  const edge = await serve(t);
  const alice = await Peer.connect(t, edge, 'alice', 'phone');
  const devices = [await Peer.connect(t, edge, 'bob', 'laptop'), await Peer.connect(t, edge, 'bob', 'phone')];
  const id = alice.send('message', '/users/bob', 'Hi Bob!');
  assert.deepEqual(await alice.response(), { status: 200, reason: 'message sent to 2 peers', id });
  for (const device of devices) assert.equal((await device.request()).data, 'Hi Bob!');
});

test('a peer calls another, they talk, and hang up', limit, async (t) => {
  const edge = await serve(t);
  const alice = await Peer.connect(t, edge, 'alice', 'phone');
  const bob = await Peer.connect(t, edge, 'bob', 'laptop');

  const id = alice.send('session', '/sessions/bob/laptop', { offer: 'v=0' });
  const connecting = await alice.response();
  assert.equal(connecting.status, 100);
  assert.equal(connecting.reason, 'connecting');
  const { sessionPath } = connecting.data;
  const ring = await bob.request();
  assert.deepEqual(
    { method: ring.method, path: ring.path, data: ring.data, sender: ring.sender },
    { method: 'session', path: sessionPath, data: { offer: 'v=0' }, sender: { username: 'alice', uuid: 'phone' } },
  );

  bob.reply(ring, 180, 'ringing');
  assert.equal((await alice.response()).status, 180);
  alice.send('candidate', sessionPath, { candidate: 'a' });
  const early = await bob.request();
  assert.deepEqual([early.method, early.data], ['candidate', { candidate: 'a' }]);
  bob.reply(early, 200, 'OK');
  assert.equal((await alice.response()).status, 200);
  bob.reply(ring, 200, 'accepted', { answer: 'v=0' });
  assert.deepEqual(await alice.response(), { status: 200, reason: 'accepted', id, data: { answer: 'v=0' } });

  bob.send('message', sessionPath, 'can you hear me?');
  const inside = await alice.request();
  assert.equal(inside.data, 'can you hear me?');
  alice.reply(inside, 200, 'yes');
  assert.equal((await bob.response()).reason, 'yes');

  const eve = await Peer.connect(t, edge, 'eve', '1');
  eve.send('message', sessionPath, 'hello?');
  assert.equal((await eve.response()).status, 403);

  alice.send('end', sessionPath);
  assert.equal((await alice.response()).status, 200);
  const end = await bob.request();
  assert.deepEqual([end.method, end.path], ['end', sessionPath]);
  bob.reply(end, 200, 'OK');
  bob.send('message', sessionPath, 'still there?');
  assert.equal((await bob.response()).status, 404);
});

test('a call ends when one side goes away', limit, async (t) => {
  const edge = await serve(t, '--grace', '0s');
  const alice = await Peer.connect(t, edge, 'alice', 'phone');
  const bob = await Peer.connect(t, edge, 'bob', 'laptop');
  alice.send('session', '/sessions/bob/laptop');
  const { sessionPath } = (await alice.response()).data;
  bob.reply(await bob.request(), 200, 'accepted');
  assert.equal((await alice.response()).status, 200);
  bob.socket.terminate();
  const end = await alice.request();
  assert.deepEqual([end.method, end.path, end.data], ['end', sessionPath, { reason: 'peer offline' }]);
});

test('the same identity again takes over', limit, async (t) => {
  const edge = await serve(t);
  const first = await Peer.connect(t, edge, 'alice', 'phone');
  const second = await Peer.connect(t, edge, 'alice', 'phone');
  assert.deepEqual(await first.closed, { code: 3000, reason: 'online elsewhere' });
  const bob = await Peer.connect(t, edge, 'bob', 'laptop');
  bob.send('message', '/users/alice', 'Hi');
  assert.equal((await second.request()).data, 'Hi');
});

test('what is sent to a peer that reconnects within the grace period is not lost', limit, async (t) => {
  const edge = await serve(t, '--grace', '20s');
  const alice = await Peer.connect(t, edge, 'alice', 'phone');
  const bob = await Peer.connect(t, edge, 'bob', 'laptop');
  alice.socket.terminate();
  await edge.logged('msg=disconnected peer=alice/phone');
  bob.send('message', '/users/alice', 'are you there?');
  const again = await Peer.connect(t, edge, 'alice', 'phone');
  const message = await again.request();
  assert.equal(message.data, 'are you there?');
  again.reply(message, 200, 'here');
  assert.equal((await bob.response()).reason, 'here');
});

test('handshakes are refused with a reason', limit, async (t) => {
  const edge = await serve(t);
  const refused = [
    ['/?username=alice&uuid=phone', [], 403, 'Invalid Sec-WebSocket-Protocol'],
    ['/?username=alice&uuid=phone', ['chat'], 403, 'Invalid Sec-WebSocket-Protocol'],
    ['/?uuid=phone', ['protoo'], 400, 'missing username: connect with ?username=NAME&uuid=DEVICE'],
    ['/protoo?username=alice', ['protoo'], 400, 'missing uuid: connect with ?username=NAME&uuid=DEVICE'],
    [`/?username=${'a'.repeat(257)}&uuid=phone`, ['protoo'], 400, 'username has 257 bytes, at most 256 are allowed'],
    ['/elsewhere?username=alice&uuid=phone', ['protoo'], 404, '404 page not found'],
  ];
  for (const [path, protocols, status, reason] of refused) {
    const socket = new WebSocket(edge.url + path, protocols);
    socket.on('error', () => {});
    const [, response] = await once(socket, 'unexpected-response');
    assert.equal(response.statusCode, status, path);
    assert.equal((await text(response)).trim(), reason, path);
  }
});

test('bad messages are answered, and too many or too big ones end the connection', limit, async (t) => {
  const edge = await serve(t);
  const alice = await Peer.connect(t, edge, 'alice', 'phone');
  alice.socket.send('{"method":"message","path":"users","id":7}');
  const bad = await alice.response();
  assert.deepEqual([bad.status, bad.id], [400, 7]);
  for (let i = 0; i < 15; i++) alice.socket.send(Buffer.from([i]));
  assert.deepEqual(await alice.closed, { code: 1007, reason: 'too many bad messages' });

  const bob = await Peer.connect(t, edge, 'bob', 'laptop');
  bob.send('message', '/echo', 'x'.repeat(70_000));
  assert.equal((await bob.closed).code, 1009);
});

for (const [signal, code, reason] of [['SIGINT', 1001, /^shutting down$/], ['SIGTERM', 1012, /^restart; reconnect in \d+ ms$/]]) {
  test(`${signal} disconnects the peers and ends with 0`, limit, async (t) => {
    const edge = await serve(t);
    const peers = await Promise.all(['1', '2', '3'].map((uuid) => Peer.connect(t, edge, 'alice', uuid)));
    edge.kill(signal);
    for (const peer of peers) {
      const closed = await peer.closed;
      assert.equal(closed.code, code);
      assert.match(closed.reason, reason);
    }
    assert.deepEqual(await edge.exit, [0, null]);
  });
}

async function text(stream) {
  let all = '';
  for await (const chunk of stream) all += chunk;
  return all;
}
