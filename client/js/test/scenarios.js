// What the client does with a real server, over any transport, in Node and in browsers.
import { connect, ProtooError } from '../protoo.js';

/**
 * What a scenario gets:
 *
 * - `assert`, the part of node:assert/strict that is used here
 * - `options` for `connect`, which say what the transport is
 * - `patience`, milliseconds in which this transport notices that a connection is lost
 * - `start({ grace, addr })` starts a server
 * - `link(host)` starts a way to it that can be cut
 * - `after(fn)` has something done at the end
 *
 * @typedef {{ host: string, options?: import('../protoo.js').ConnectOptions,
 *   stop(signal?: string): Promise<void>, disconnected(peer: string): Promise<void> }} Server
 * @typedef {{ assert: any, options: import('../protoo.js').ConnectOptions, patience: number,
 *   start(options?: { grace?: string, addr?: string }): Promise<Server>,
 *   link(host: string): Promise<{ host: string, block(): Promise<void>, restore(): Promise<void> }>,
 *   after(fn: () => void): void }} World
 */

/**
 * A peer that is online: an answer proves it, unlike an open connection.
 *
 * @param {World} world
 */
async function open({ after, options, patience }, server, username, uuid, { host = server.host, url = `ws://${host}/protoo` } = {}) {
  const peer = connect(url, { ...options, ...server.options, username, uuid, reconnect: { base: 20, cap: 100 } });
  after(() => peer.close());
  await peer.request('message', '/echo', undefined, { timeout: Math.max(patience, 10_000) });
  return peer;
}

/** The next event of a type. */
const next = (peer, type) => new Promise((resolve) => { peer.addEventListener(type, resolve, { once: true }); });

const turn = () => new Promise((resolve) => { setTimeout(resolve); });

/** A promise and its resolve function. */
function deferred() {
  /** @type {(value?: any) => void} */
  let resolve = () => {};
  const promise = new Promise((r) => { resolve = r; });
  return { promise, resolve };
}

/** @type {Record<string, (world: World) => Promise<void>>} */
export const scenarios = {
  async 'echo answers any method and any data'(world) {
    const { assert } = world;
    const server = await world.start();
    const { host } = server;
    for (const url of [`ws://${host}/protoo`, `http://${host}/protoo`, `ws://${host}`]) {
      const peer = await open(world, server, 'älice & co', 'phone 1', { url });
      for (const data of [null, false, 0, '', 'grüße 🎈', [1, [2]], { a: { b: '\u2028' } }, 'x'.repeat(60_000)]) {
        assert.deepEqual(await peer.request('any.thing', '/echo', data), { status: 200, reason: 'OK', data });
      }
      assert.equal((await peer.request('message', '/echo')).data, undefined);
    }
  },

  async 'many requests at once'(world) {
    const server = await world.start();
    const peer = await open(world, server, 'alice', 'phone');
    const numbers = Array.from({ length: 50 }, (_, i) => i);
    const answers = await Promise.all(numbers.map((i) => peer.request('message', '/echo', i)));
    world.assert.deepEqual(answers.map((a) => a.data), numbers);
  },

  async 'much at once, of several bytes to a character, in pieces of all sizes'(world) {
    const server = await world.start();
    const peer = await open(world, server, 'alice', 'phone');
    const texts = Array.from({ length: 40 }, (_, i) => 'ä🎈x'.repeat(i * 150));
    const answers = await Promise.all(texts.map((text) => peer.request('message', '/echo', text)));
    world.assert.deepEqual(answers.map((a) => a.data), texts);
    while (peer.bufferedAmount) await turn(); // it ends only if everything is counted out again
  },

  async 'rejections of the server'(world) {
    const { assert } = world;
    const server = await world.start();
    const peer = await open(world, server, 'alice', 'phone');
    const rejects = (method, path, status, reason) =>
      assert.rejects(peer.request(method, path), { name: 'ProtooError', status, reason, local: false });
    await rejects('message', '/nowhere', 404, 'no handler for message at /nowhere');
    await rejects('message', '/users/nobody', 404, 'peer not found');
    await rejects('message', '/users/%ff', 400, /%ff|UTF-8|decode/);
    await rejects('no method', '/echo', 400, /method/);
    await rejects('message', 'no path', 400, /path/);
    assert.equal(peer.state, 'open');
  },

  async 'messages to a device and to a person'(world) {
    const { assert } = world;
    const server = await world.start();
    const alice = await open(world, server, 'alice', 'phone');
    const got = [];
    for (const uuid of ['laptop', 'tablet']) {
      const bob = await open(world, server, 'bob', uuid);
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
    while (got.length < 2) await turn();
    assert.deepEqual(got.map((g) => g[0]).sort(), ['laptop', 'tablet']);
  },

  async 'a call: set up, used by both sides, ended'(world) {
    const { assert } = world;
    const server = await world.start();
    const alice = await open(world, server, 'alice', 'phone');
    const bob = await open(world, server, 'bob', 'laptop');
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
  },

  async 'a call: rejected, and canceled while it rings'(world) {
    const { assert } = world;
    const server = await world.start();
    const alice = await open(world, server, 'alice', 'phone');
    const bob = await open(world, server, 'bob', 'laptop');
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
  },

  async 'the asker learns that the other side is gone'(world) {
    const server = await world.start({ grace: '50ms' });
    const alice = await open(world, server, 'alice', 'phone');
    const bob = await open(world, server, 'bob', 'laptop');
    bob.handle('message', '*', () => {
      bob.close();
      return new Promise(() => {});
    });
    await world.assert.rejects(alice.request('message', '/users/bob/laptop'), { status: 410, local: false });
  },

  async 'the connection of the asker is cut in the middle of a request'(world) {
    const { assert, patience } = world;
    const timeout = 10_000 + 2 * patience;
    const server = await world.start({ grace: '120s' });
    const link = await world.link(server.host);
    const alice = await open(world, server, 'alice', 'phone', { host: link.host });
    const bob = await open(world, server, 'bob', 'laptop');
    const [asked, answer] = [deferred(), deferred()];
    bob.handle('message', '*', () => {
      asked.resolve();
      return answer.promise;
    });
    const response = alice.request('message', '/users/bob/laptop', undefined, { timeout });
    await asked.promise;
    const [lost, back] = [next(alice, 'reconnecting'), next(alice, 'reconnected')];
    await link.block();
    assert.equal((await lost).code, 1006);
    await server.disconnected('alice/phone');
    answer.resolve('kept for you');
    const queued = alice.request('message', '/echo', 'asked while away', { timeout });
    await turn(); // bob's reply has gone out, and is there before this echo
    await bob.request('message', '/echo');
    await link.restore();
    await back;
    assert.equal((await response).data, 'kept for you');
    assert.equal((await queued).data, 'asked while away');
  },

  async 'the connection of the answering side is cut in the middle of a request'(world) {
    const { assert, patience } = world;
    const timeout = 10_000 + 2 * patience;
    const server = await world.start({ grace: '120s' });
    const link = await world.link(server.host);
    const alice = await open(world, server, 'alice', 'phone');
    const bob = await open(world, server, 'bob', 'laptop', { host: link.host });
    const [asked, answer] = [deferred(), deferred()];
    const got = [];
    bob.handle('message', '*', async (req) => {
      got.push(req.data);
      asked.resolve();
      return answer.promise;
    });
    const options = { timeout };
    const first = alice.request('message', '/users/bob/laptop', 'before', options);
    await asked.promise;
    const lost = next(bob, 'reconnecting');
    await link.block();
    await lost;
    await server.disconnected('bob/laptop');
    const second = alice.request('message', '/users/bob/laptop', 'in between', options);
    await alice.request('message', '/echo');
    answer.resolve('here again');
    await link.restore();
    assert.deepEqual((await Promise.all([first, second])).map((r) => r.data), ['here again', 'here again']);
    assert.deepEqual(got, ['before', 'in between']);
  },

  async 'a second peer of the same name and device replaces the first'(world) {
    const { assert } = world;
    const server = await world.start();
    const first = await open(world, server, 'alice', 'phone');
    const [replaced, closed] = [next(first, 'replaced'), next(first, 'close')];
    const second = await open(world, server, 'alice', 'phone');
    assert.equal((await replaced).code, 3000);
    assert.equal((await closed).reason, 'online elsewhere');
    await assert.rejects(first.request('message', '/echo'), { status: 410, local: true });
    assert.equal((await second.request('message', '/echo', 1)).data, 1);
  },
};

// A server that is told to end answers what it cannot finish; one that is killed does not.
for (const [signal, code, timeout, rejection] of /** @type {const} */ ([
  ['SIGTERM', 1012, 30_000, { status: 503, local: false }],
  ['SIGKILL', 1006, 1500, { status: 408, local: true }],
])) {
  scenarios[`the server restarts after ${signal}`] = async (world) => {
    const { assert, patience } = world;
    const server = await world.start();
    const peer = await open(world, server, 'alice', 'phone');
    peer.handle('message', '*', () => new Promise(() => {}));
    const lost = next(peer, 'reconnecting');
    const never = peer.request('message', '/users/alice/phone', undefined, { timeout: timeout + patience });
    never.catch(() => {});
    await peer.request('message', '/echo');
    await server.stop(signal);
    assert.equal((await lost).code, code);
    const queued = peer.request('message', '/echo', 'patience', { timeout: 10_000 + patience });
    const back = next(peer, 'reconnected');
    await world.start({ addr: server.host });
    await back;
    assert.equal((await queued).data, 'patience');
    await assert.rejects(never, rejection);
  };
}
