// The client against the real server.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { suite, test } from 'node:test';
import { promisify } from 'node:util';
import { WebSocket as WS } from 'ws';
import { connect, ProtooError } from '../protoo.js';
import { buildEdge, startEdge, startProxy } from './edge.js';

assert.equal(typeof globalThis.WebSocket, 'function', 'run this through npm test');

const binary = await buildEdge();

const next = async (peer, type) => (await once(peer, type))[0];

/** A promise and its resolve function. */
function deferred() {
  /** @type {(value?: any) => void} */
  let resolve = () => {};
  const promise = new Promise((r) => { resolve = r; });
  return { promise, resolve };
}

test('the first example of the README', async (t) => {
  const { url } = await startEdge(t, binary);
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8');
  const [, example] = /** @type {RegExpMatchArray} */ (readme.match(/```js\n(.*?)```/s));
  const expected = [...example.matchAll(/console\.log\(.*\); \/\/ (.*)/g)].map((match) => match[1] + '\n').join('');
  assert.notEqual(expected, '');
  const program = new URL('readme-example.mjs', import.meta.url);
  t.after(() => rm(program));
  await writeFile(program, example.replace(/ws:[^']*/, url));
  const { stdout } = await promisify(execFile)(process.execPath, ['--experimental-websocket', program.pathname], { timeout: 8000 });
  assert.equal(stdout, expected);
});

for (const [name, WebSocket] of Object.entries({ ws: WS, global: globalThis.WebSocket })) {
  suite(`protoo-edge with ${name}`, { timeout: 60_000 }, () => {
    // An answer, unlike an open connection, proves that the server has brought the peer online.
    const open = async (t, url, username, uuid) => {
      const peer = connect(url, { username, uuid, WebSocket, reconnect: { base: 20, cap: 100 } });
      t.after(() => peer.close());
      await peer.ready;
      await peer.request('message', '/echo');
      return peer;
    };

    test('echo answers any method and any data', async (t) => {
      const { host, url } = await startEdge(t, binary);
      for (const where of [url, `http://${host}/protoo`, `ws://${host}`]) {
        const peer = await open(t, where, 'älice & co', 'phone 1');
        for (const data of [null, false, 0, '', 'grüße 🎈', [1, [2]], { a: { b: '\u2028' } }, 'x'.repeat(60_000)]) {
          assert.deepEqual(await peer.request('any.thing', '/echo', data), { status: 200, reason: 'OK', data });
        }
        assert.equal((await peer.request('message', '/echo')).data, undefined);
      }
    });

    test('many requests at once', async (t) => {
      const { url } = await startEdge(t, binary);
      const peer = await open(t, url, 'alice', 'phone');
      const numbers = Array.from({ length: 50 }, (_, i) => i);
      const answers = await Promise.all(numbers.map((i) => peer.request('message', '/echo', i)));
      assert.deepEqual(answers.map((a) => a.data), numbers);
    });

    test('rejections of the server', async (t) => {
      const { url } = await startEdge(t, binary);
      const peer = await open(t, url, 'alice', 'phone');
      const rejects = (method, path, status, reason) =>
        assert.rejects(peer.request(method, path), { name: 'ProtooError', status, reason, local: false });
      await rejects('message', '/nowhere', 404, 'no handler for message at /nowhere');
      await rejects('message', '/users/nobody', 404, 'peer not found');
      await rejects('message', '/users/%ff', 400, /%ff|UTF-8|decode/);
      await rejects('no method', '/echo', 400, /method/);
      await rejects('message', 'no path', 400, /path/);
      assert.equal(peer.state, 'open');
    });

    test('messages to a device and to a person', async (t) => {
      const { url } = await startEdge(t, binary);
      const alice = await open(t, url, 'alice', 'phone');
      const got = [];
      for (const uuid of ['laptop', 'tablet']) {
        const bob = await open(t, url, 'bob', uuid);
        bob.handle('message', '/users/:username/:uuid?', (req) => {
          got.push([uuid, req.data, req.sender, { ...req.params }]);
          if (req.data === 'no') throw new ProtooError(488, 'not now', { until: 5 });
          return { read: true };
        });
      }
      const sender = { username: 'alice', uuid: 'phone' };
      const { data } = await alice.request('message', '/users/bob/laptop', 'hi');
      assert.deepEqual(data, { read: true });
      assert.deepEqual(got, [['laptop', 'hi', sender, { username: 'bob', uuid: 'laptop' }]]);
      await assert.rejects(alice.request('message', '/users/bob/tablet', 'no'),
        { status: 488, reason: 'not now', data: { until: 5 }, local: false });
      got.length = 0;
      const { reason } = await alice.request('message', '/users/bob', 'all of you');
      assert.equal(reason, 'message sent to 2 peers');
      while (got.length < 2) await new Promise(setImmediate);
      assert.deepEqual(got.map((g) => g[0]).sort(), ['laptop', 'tablet']);
    });

    test('a call: set up, used by both sides, ended', async (t) => {
      const { url } = await startEdge(t, binary);
      const alice = await open(t, url, 'alice', 'phone');
      const bob = await open(t, url, 'bob', 'laptop');
      const ended = deferred();
      bob.handle('session', '/sessions/:id', (req) => {
        bob.handle('candidate', req.path, ({ data }) => `bob got ${data}`);
        bob.handle('end', req.path, () => ended.resolve(req.path));
        req.reply(180, 'ringing');
        return `answer to ${req.data}`;
      });
      const provisional = [];
      const response = await alice.request('session', '/sessions/bob/laptop', 'offer', {
        onProvisional: (r) => provisional.push(r),
      });
      assert.equal(response.data, 'answer to offer');
      assert.deepEqual(provisional.map((r) => r.status), [100, 180]);
      const { sessionPath } = provisional[0].data;
      alice.handle('candidate', sessionPath, ({ data }) => `alice got ${data}`);
      assert.equal((await alice.request('candidate', sessionPath, 'a1')).data, 'bob got a1');
      assert.equal((await bob.request('candidate', sessionPath, 'b1')).data, 'alice got b1');
      await alice.request('end', sessionPath);
      assert.equal(await ended.promise, sessionPath);
    });

    test('a call: rejected, and canceled while it rings', async (t) => {
      const { url } = await startEdge(t, binary);
      const alice = await open(t, url, 'alice', 'phone');
      const bob = await open(t, url, 'bob', 'laptop');
      const remove = bob.handle('session', '/sessions/:id', () => { throw new ProtooError(486, 'busy'); });
      await assert.rejects(alice.request('session', '/sessions/bob/laptop'), { status: 486, reason: 'busy' });

      remove();
      const ended = deferred();
      bob.handle('session', '/sessions/:id', (req) => {
        bob.handle('end', req.path, () => ended.resolve());
        req.reply(180, 'ringing');
        return ended.promise;
      });
      let path;
      await assert.rejects(alice.request('session', '/sessions/bob/laptop', undefined, {
        onProvisional({ status, data }) {
          if (status === 100) path = data.sessionPath;
          else alice.request('end', path);
        },
      }), { status: 487 });
      await ended.promise;
    });

    test('the asker learns that the other side is gone', async (t) => {
      const { url } = await startEdge(t, binary, { grace: '50ms' });
      const alice = await open(t, url, 'alice', 'phone');
      const bob = await open(t, url, 'bob', 'laptop');
      bob.handle('message', '*', () => {
        bob.close();
        return new Promise(() => {});
      });
      await assert.rejects(alice.request('message', '/users/bob/laptop'), { status: 410, local: false });
    });

    test('the connection of the asker is cut in the middle of a request', async (t) => {
      const { host, url, disconnected } = await startEdge(t, binary);
      const proxy = await startProxy(t, host);
      const alice = await open(t, proxy.url, 'alice', 'phone');
      const bob = await open(t, url, 'bob', 'laptop');
      const [asked, answer] = [deferred(), deferred()];
      bob.handle('message', '*', () => {
        asked.resolve();
        return answer.promise;
      });
      const response = alice.request('message', '/users/bob/laptop');
      await asked.promise;
      const [lost, back] = [next(alice, 'reconnecting'), next(alice, 'reconnected')];
      proxy.block();
      assert.equal((await lost).code, 1006);
      await disconnected('alice/phone');
      answer.resolve('kept for you');
      const queued = alice.request('message', '/echo', 'asked while away');
      await new Promise(setImmediate); // bob's reply has gone out, and is there before this echo
      await bob.request('message', '/echo');
      proxy.restore();
      await back;
      assert.equal((await response).data, 'kept for you');
      assert.equal((await queued).data, 'asked while away');
    });

    test('the connection of the answering side is cut in the middle of a request', async (t) => {
      const { host, url, disconnected } = await startEdge(t, binary);
      const proxy = await startProxy(t, host);
      const alice = await open(t, url, 'alice', 'phone');
      const bob = await open(t, proxy.url, 'bob', 'laptop');
      const [asked, answer] = [deferred(), deferred()];
      const got = [];
      bob.handle('message', '*', async (req) => {
        got.push(req.data);
        asked.resolve();
        return answer.promise;
      });
      const first = alice.request('message', '/users/bob/laptop', 'before');
      await asked.promise;
      const lost = next(bob, 'reconnecting');
      proxy.block();
      await lost;
      await disconnected('bob/laptop');
      const second = alice.request('message', '/users/bob/laptop', 'in between');
      await alice.request('message', '/echo');
      answer.resolve('here again');
      proxy.restore();
      assert.deepEqual((await Promise.all([first, second])).map((r) => r.data), ['here again', 'here again']);
      assert.deepEqual(got, ['before', 'in between']);
    });

    test('a second peer of the same name and device replaces the first', async (t) => {
      const { url } = await startEdge(t, binary);
      const first = await open(t, url, 'alice', 'phone');
      const [replaced, closed] = [next(first, 'replaced'), next(first, 'close')];
      const second = await open(t, url, 'alice', 'phone');
      assert.equal((await replaced).code, 3000);
      assert.equal((await closed).reason, 'online elsewhere');
      await assert.rejects(first.request('message', '/echo'), { status: 410, local: true });
      assert.equal((await second.request('message', '/echo', 1)).data, 1);
    });

    for (const [signal, code] of /** @type {const} */ ([['SIGTERM', 1001], ['SIGKILL', 1006]])) {
      test(`the server restarts after ${signal}`, async (t) => {
        const edge = await startEdge(t, binary);
        const peer = await open(t, edge.url, 'alice', 'phone');
        peer.handle('message', '*', () => new Promise(() => {}));
        const lost = next(peer, 'reconnecting');
        const never = peer.request('message', '/users/alice/phone', undefined, { timeout: 1500 });
        never.catch(() => {});
        await peer.request('message', '/echo');
        await edge.stop(signal);
        assert.equal((await lost).code, code);
        const queued = peer.request('message', '/echo', 'patience');
        const back = next(peer, 'reconnected');
        await startEdge(t, binary, { addr: edge.host });
        await back;
        assert.equal((await queued).data, 'patience');
        await assert.rejects(never, { status: 408, local: true });
      });
    }
  });
}
