// The client over real sockets, against a server that misbehaves on purpose.
import assert from 'node:assert/strict';
import { once, setMaxListeners } from 'node:events';
import { createServer } from 'node:http';
import { createServer as createTCPServer } from 'node:net';
import { suite, test } from 'node:test';
import { WebSocket as WS, WebSocketServer } from 'ws';
import { connect } from '../protoo.js';

// Node 20 has it behind --experimental-websocket: npm test sets that.
assert.equal(typeof globalThis.WebSocket, 'function', 'run this through npm test');

const reconnect = { base: 10, cap: 20 };

/** Calls `serve(socket, request, n)` for the nth connection; `socket.expect()` is the next message. */
async function startServer(t, serve = (socket, request, n) => {}, refuse = (n) => 0) {
  const http = createServer();
  const wss = new WebSocketServer({ server: http, verifyClient: (info, done) => {
    const status = refuse(++attempts);
    done(!status, status);
  } });
  let attempts = 0;
  let connections = 0;
  wss.on('connection', (socket, request) => serve(socket, request, ++connections));
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  t.after(() => {
    for (const socket of wss.clients) socket.terminate();
    http.close();
  });
  return `http://127.0.0.1:${/** @type {any} */ (http.address()).port}/protoo`;
}

const onRequest = (socket, fn) => socket.on('message', (text) => {
  const { id, method, path, data } = JSON.parse(text);
  fn({ method, path, data }, (status, reason, data) => socket.send(JSON.stringify({ status, reason, id, data })));
});

const next = async (peer, type) => (await once(peer, type))[0];

for (const [name, WebSocket] of Object.entries({ ws: WS, global: globalThis.WebSocket })) {
  suite(name, { timeout: 20_000 }, () => {
    const open = (t, url, options) => {
      const peer = connect(url, { username: 'alice', uuid: 'phone', WebSocket, reconnect, ...options });
      t.after(() => peer.close());
      return peer;
    };

    test('handshake, request, response and a request from the server', async (t) => {
      let seen;
      const url = await startServer(t, (socket, request) => {
        seen = [request.url, socket.protocol];
        onRequest(socket, ({ data }, answer) => {
          answer(180, 'wait');
          answer(200, 'OK', data);
          socket.send('{"method":"message","path":"/users/alice","id":1,"data":"für dich"}');
        });
      });
      const peer = open(t, url, { token: 'secret' });
      const provisional = [];
      const served = new Promise((resolve) => {
        peer.handle('message', '/users/:name', (req) => resolve([req.params.name, req.data]));
      });
      await peer.ready;
      const data = { text: 'grüße 🎈', nested: [null, true, 1.5] };
      const response = await peer.request('message', '/echo', data, { onProvisional: (r) => provisional.push(r.status) });
      assert.deepEqual(response, { status: 200, reason: 'OK', data });
      assert.deepEqual(provisional, [180]);
      assert.deepEqual(await served, ['alice', 'für dich']);
      assert.deepEqual(seen, ['/protoo?username=alice&uuid=phone&token=secret', 'protoo']);
    });

    test('a connection that drops in the middle of a request', async (t) => {
      let held;
      const url = await startServer(t, (socket, request, n) => {
        if (n === 2) return held(socket);
        socket.on('message', (text) => {
          const { id } = JSON.parse(text);
          held = (socket) => socket.send(JSON.stringify({ status: 200, reason: 'held', id }));
          socket.terminate();
        });
      });
      const peer = open(t, url);
      const response = peer.request('message', '/users/bob');
      const { code } = await next(peer, 'reconnecting');
      assert.equal(code, 1006);
      const later = peer.request('message', '/later', undefined, { timeout: 200 });
      assert.equal((await response).reason, 'held');
      await assert.rejects(later, { status: 408 });
    });

    test('frames that are none, and messages that are none', async (t) => {
      const url = await startServer(t, (socket, request, n) => {
        if (n === 1) {
          socket.send('nonsense');
          socket.send(Buffer.from('{"method":"message","path":"/","id":1}'));
          socket.send('{"status":200,"reason":"to nothing","id":"x"}');
          onRequest(socket, () => {
            /** @type {any} */ (socket)._socket.write(Buffer.from([0x83, 0x00])); // reserved opcode
          });
        } else {
          onRequest(socket, (request, answer) => answer(200, `connection ${n}`));
        }
      });
      const peer = open(t, url);
      peer.handle('*', '*', () => assert.fail('must not be called'));
      const bad = [];
      peer.addEventListener('badmessage', ({ reason }) => bad.push(reason));
      await peer.ready;
      peer.request('message', '/break').catch(() => {});
      await next(peer, 'reconnected');
      assert.equal(bad.length, 2);
      assert.equal((await peer.request('message', '/')).reason, 'connection 2');
    });

    for (const code of [1001, 1012, 1013]) {
      test(`close with ${code} reconnects`, async (t) => {
        const url = await startServer(t, (socket, request, n) => {
          if (n === 1) socket.close(code, 'come again');
        });
        const peer = open(t, url);
        const event = await next(peer, 'reconnecting');
        assert.deepEqual([event.code, event.reason, event.attempt], [code, 'come again', 1]);
        await next(peer, 'reconnected');
      });
    }

    for (const code of [1000, 1008, 3000]) {
      test(`close with ${code} is for good`, async (t) => {
        let connections = 0;
        const url = await startServer(t, (socket, request, n) => {
          connections = n;
          onRequest(socket, () => socket.close(code, 'go away'));
        });
        const peer = open(t, url);
        const types = [];
        for (const type of /** @type {const} */ (['reconnecting', 'replaced', 'close'])) peer.addEventListener(type, () => types.push(type));
        const closed = next(peer, 'close');
        await assert.rejects(peer.request('message', '/'), { status: 410, data: { code, reason: 'go away' } });
        const event = await closed;
        assert.deepEqual([event.code, event.reason, peer.state], [code, 'go away', 'closed']);
        assert.deepEqual(types, code === 3000 ? ['replaced', 'close'] : ['close']);
        assert.equal(connections, 1);
      });
    }

    test('a refusal is tried again', async (t) => {
      const url = await startServer(t, undefined, (n) => (n < 3 ? 403 : 0));
      const peer = open(t, url);
      const attempts = [];
      peer.addEventListener('reconnecting', ({ code, attempt }) => attempts.push([code, attempt]));
      await peer.ready;
      assert.deepEqual(attempts, [[1006, 1], [1006, 2]]);
    });

    test('a server that is not there', async (t) => {
      const http = createServer().listen(0, '127.0.0.1');
      await once(http, 'listening');
      const { port } = /** @type {any} */ (http.address());
      http.close();
      await once(http, 'close');
      const peer = open(t, `ws://127.0.0.1:${port}`);
      const { code, reason } = await next(peer, 'reconnecting');
      assert.equal(code, 1006);
      assert.notEqual(reason, '', 'Node says why');
      await next(peer, 'reconnecting');
    });

    test('a server that does not answer the handshake', async (t) => {
      const sockets = [];
      const tcp = createTCPServer((socket) => sockets.push(socket.on('error', () => {}))).listen(0, '127.0.0.1');
      await once(tcp, 'listening');
      t.after(() => {
        for (const socket of sockets) socket.destroy();
        tcp.close();
      });
      const peer = open(t, `ws://127.0.0.1:${/** @type {any} */ (tcp.address()).port}`, { connectTimeout: 50 });
      for (let i = 0; i < 2; i++) {
        const { reason } = await next(peer, 'reconnecting');
        assert.equal(reason, 'connect timeout');
      }
    });

    test('close tells the server, after what was sent', async (t) => {
      let closed;
      const messages = [];
      const done = new Promise((resolve) => { closed = resolve; });
      const url = await startServer(t, (socket) => {
        onRequest(socket, ({ path }) => messages.push(path));
        socket.on('close', (code, reason) => closed([code, String(reason)]));
      });
      const peer = open(t, url);
      await peer.ready;
      peer.request('message', '/last').catch(() => {});
      peer.close(3001, 'bye');
      assert.deepEqual(await done, [3001, 'bye']);
      assert.deepEqual(messages, ['/last']);
    });

    test('a server that does not read: bufferedAmount grows up to its bound', async (t) => {
      /** @type {any} */
      let serverSocket;
      const url = await startServer(t, (socket) => {
        serverSocket = socket;
        socket.pause();
      });
      const peer = open(t, url);
      await peer.ready;
      const data = 'x'.repeat(60_000);
      const controller = new AbortController();
      setMaxListeners(0, controller.signal);
      const refusals = [];
      for (let i = 0; i < 2000 && !refusals.length; i++) {
        peer.request('message', '/', data, { signal: controller.signal }).catch((error) => refusals.push(error));
        await new Promise(setImmediate);
        assert.ok(peer.bufferedAmount <= (1 << 20) + 20 * 2000, `bufferedAmount ${peer.bufferedAmount}`);
      }
      assert.equal(refusals[0].status, 503);
      assert.ok(peer.bufferedAmount > 900_000);
      controller.abort();
      serverSocket.resume();
      while (peer.bufferedAmount > 0) await new Promise(setImmediate);
    });
  });
}
