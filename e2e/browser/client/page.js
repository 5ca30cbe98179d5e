// What runs in the browser: the scenarios of client/js, and those that only browsers can have. `rpc` is a function of the test's.
import { scenarios } from '/js/test/scenarios.js';
import { connect } from '/js/protoo.js';
import { assert } from './assert.js';

const { rpc } = globalThis;

async function serverCertificateHashes() {
  const hashes = await rpc('hashes');
  return hashes.map((hash) => ({ algorithm: 'sha-256', value: Uint8Array.from(atob(hash), (c) => c.charCodeAt(0)) }));
}

/** A peer of the server at a host. */
function peerAt(host, options) {
  return connect(`http://${host}/protoo`, { username: 'alice', uuid: 'tab', serverCertificateHashes, ...options });
}

const event = (peer, type) => new Promise((resolve) => { peer.addEventListener(type, resolve, { once: true }); });

/** A peer that is online. */
async function online(host, options) {
  const peer = peerAt(host, options);
  await peer.ready;
  await peer.request('message', '/echo', undefined, { timeout: 60_000 });
  return peer;
}

const functions = {
  /** Runs one of the scenarios that Node runs, too. */
  async scenario(name, transport, patience) {
    const endings = [];
    await scenarios[name]({
      assert,
      patience,
      options: { transport, serverCertificateHashes },
      after: (fn) => endings.push(fn),
      async start(options) {
        const host = await rpc('start', options);
        return { host, stop: (signal) => rpc('stop', host, signal), disconnected: (peer) => rpc('disconnected', host, peer) };
      },
      async link(host) {
        const link = await rpc('link', host);
        return { host: link, block: () => rpc('block', link), restore: () => rpc('restore', link) };
      },
    });
    for (const end of endings) end();
  },

  /** What the page sees when the server closes. */
  async closedByServer(host, options, code, reason) {
    const peer = await online(host, { reconnect: false, ...options });
    const closed = event(peer, 'close');
    peer.request('message', '/close', { code, reason }).catch(() => {});
    const seen = await closed;
    return [seen.code, seen.reason];
  },

  /** What the page sees when it is refused. */
  async refused(host, options, token) {
    const peer = peerAt(host, { reconnect: false, token, ...options });
    const { code, reason } = await event(peer, 'close');
    return [code, reason];
  },

  async closedByPage(host, options, code, reason) {
    const peer = await online(host, options);
    peer.request('message', '/users/alice', 'the last words').catch(() => {});
    peer.close(code, reason);
  },

  /** Opens a peer that stays, and tells its transport. */
  async open(host, options) {
    return (await online(host, options)).transport;
  },

  /** The transports of a peer that loses its connection once. */
  async openTwice(host, options) {
    const peer = await online(host, { reconnect: { base: 10 }, ...options });
    const first = peer.transport;
    const back = event(peer, 'reconnected');
    peer.request('message', '/close', { code: 1001, reason: 'again' }).catch(() => {});
    await back;
    return [first, peer.transport];
  },

  remembered: () => Object.keys(localStorage),

  /** Asks for far more than fits anywhere, over a stream that nobody reads. */
  async neverRead(host) {
    const session = new WebTransport(`https://${host}/protoo?username=alice&uuid=tab`, { serverCertificateHashes: await serverCertificateHashes() });
    globalThis.unread = session;
    session.closed.catch(() => {});
    await session.ready;
    const stream = await session.createBidirectionalStream();
    globalThis.stream = stream;
    const writer = stream.writable.getWriter();
    writer.closed.catch(() => {});
    const payload = new TextEncoder().encode(JSON.stringify({ method: 'message', path: '/flood', id: 1, data: 'x'.repeat(10_000) }));
    await writer.write(Uint8Array.of(1, 0x40 | payload.length >> 8, payload.length & 255, ...payload));
  },

  /** The data of a request that came as a datagram, in answer to one. */
  async datagram(host, data) {
    const peer = await online(host, { transport: 'webtransport', datagrams: true });
    const came = new Promise((resolve) => { peer.handle('message', '/datagram', (req) => { resolve(req.data); }); });
    // They may get lost.
    const again = setInterval(() => peer.datagram('message', '/datagram', data), 50);
    const got = await came;
    clearInterval(again);
    return got;
  },
};

/** The value or the error, as text: Firefox's driver cannot tell every error. */
globalThis.call = async (name, ...args) => {
  try {
    return { value: await functions[name](...args) };
  } catch (error) {
    return { error: `${error}\n${error.stack ?? ''}` };
  }
};
