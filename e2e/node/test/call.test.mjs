import assert from 'node:assert/strict';
import test from 'node:test';
import { Peer, call, serve } from '../edge.mjs';

const limit = { timeout: 30_000 };

test('call prints the responses and exits by the status class', limit, async (t) => {
  const edge = await serve(t);
  const echo = await call(t, edge.url, 'message', '/echo', '{"a": [1, "ä"]}').exit;
  assert.deepEqual(echo, { code: 0, errors: '', lines: ['200 OK {"a":[1,"ä"]}'] });
  const nobody = await call(t, edge.url, 'message', '/users/nobody', '--json').exit;
  assert.deepEqual(nobody, { code: 4, errors: '', lines: ['{"status":404,"reason":"peer not found"}'] });
});

test('call calls a peer of the package ws', limit, async (t) => {
  const edge = await serve(t);
  const bob = await Peer.connect(t, edge, 'bob', 'laptop');
  const caller = call(t, edge.url, 'session', '/sessions/bob/laptop', '{"offer":"v=0"}', '--username', 'alice', '--uuid', 'cli', '--json');
  const connecting = JSON.parse(await caller.line());
  assert.equal(connecting.status, 100);
  const ring = await bob.request();
  assert.equal(ring.path, connecting.data.sessionPath);
  assert.deepEqual(ring.sender, { username: 'alice', uuid: 'cli' });
  bob.reply(ring, 180, 'ringing');
  bob.reply(ring, 603, 'declined', { because: 'lunch' });
  assert.deepEqual(await caller.exit, {
    code: 6,
    errors: '',
    lines: ['{"status":180,"reason":"ringing"}', '{"status":603,"reason":"declined","data":{"because":"lunch"}}'],
  });
});

test('a conversation: requests both ways', limit, async (t) => {
  const edge = await serve(t);
  const bob = await Peer.connect(t, edge, 'bob', 'laptop');
  const alice = call(t, edge.url, '--username', 'alice', '--uuid', 'cli');
  assert.match(await alice.line(), /^-- connected to ws:.* as alice\/cli$/);

  alice.write('message /users/bob {"text":"Hi Bob!"}\n');
  const hi = await bob.request();
  assert.deepEqual(hi.data, { text: 'Hi Bob!' });
  bob.reply(hi, 200, 'read');
  assert.equal(await alice.line(), '#1 200 read');

  bob.send('message', '/users/alice', 'Hi Alice!');
  assert.equal(await alice.line(), '@1 message /users/alice from bob/laptop "Hi Alice!"');
  alice.write('@1 150 let me see\n@1 200 seen {"at":"once"}\n');
  assert.deepEqual(await bob.response(), { status: 150, reason: 'let me see', id: '1' });
  assert.deepEqual(await bob.response(), { status: 200, reason: 'seen', id: '1', data: { at: 'once' } });

  alice.write('message /echo "last words"\n');
  alice.end();
  assert.deepEqual(await alice.exit, { code: 0, errors: '', lines: ['#2 200 OK "last words"'] });
});
