import { connect } from '../protoo.js';

/** A connection that does what the test says, and nothing else. */
export class FakeConnection {
  readyState = 0;
  bufferedAmount = 0;
  /** @type {any[]} */
  sent = [];
  /** @type {any[] | undefined} */
  closedWith;
  /** @type {any} */ onopen;
  /** @type {any} */ onmessage;
  /** @type {any} */ onclose;
  /** @type {any} */ onerror;

  /** @param {URL} url */
  constructor(url = new URL('ws://server.test')) {
    this.url = url;
  }

  send(text) {
    if (this.readyState !== 1) throw new Error('send without a connection');
    this.sent.push(JSON.parse(text));
  }

  close(...args) {
    this.closedWith ??= args;
    this.readyState = 3;
  }

  open() {
    this.readyState = 1;
    this.onopen({});
  }

  receive(message) {
    this.onmessage({ data: typeof message === 'string' ? message : JSON.stringify(message) });
  }

  answer(status, reason, data) {
    this.receive({ status, reason, id: this.sent.at(-1).id, data });
  }

  drop(code = 1006, reason = '') {
    this.readyState = 3;
    this.onclose({ code, reason });
  }
}

export const settle = () => new Promise((resolve) => setImmediate(resolve));

const eventTypes = /** @type {const} */ (
  ['open', 'reconnecting', 'reconnected', 'replaced', 'close', 'badmessage', 'error']);

/**
 * A peer over fake connections; it must be closed by the test's end.
 *
 * @param {import('node:test').TestContext} t
 * @param {import('../protoo.js').ConnectOptions} [options]
 * @param {string} [url]
 */
export async function fakePeer(t, options, url = 'ws://server.test/protoo') {
  /** @type {FakeConnection[]} */
  const connections = [];
  const transport = (url) => {
    connections.push(new FakeConnection(url));
    return connections[connections.length - 1];
  };
  const peer = connect(url, { username: 'alice', uuid: 'phone', transports: [transport], ...options });
  t.after(() => peer.close());

  /** @type {any[]} */
  const events = [];
  for (const type of eventTypes) {
    peer.addEventListener(type, (event) => {
      event.preventDefault();
      const fields = Object.entries(event).filter(([name]) => name !== 'isTrusted');
      events.push({ type, ...Object.fromEntries(fields) });
    });
  }
  await settle();
  return {
    peer, connections, events,
    get connection() { return connections[connections.length - 1]; },
    /** @param {number} ms */
    async tick(ms) {
      t.mock.timers.tick(ms);
      await settle();
    },
  };
}

/**
 * The same where time passes by `tick` only and Math.random returns 1, so that every wait is as long as it can be.
 *
 * @param {import('node:test').TestContext} t
 * @param {import('../protoo.js').ConnectOptions} [options]
 * @param {string} [url]
 */
export async function setup(t, options, url) {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1_000_000 });
  t.mock.method(Math, 'random', () => 1);
  return fakePeer(t, options, url);
}

/**
 * The same with the first connection open.
 *
 * @param {import('node:test').TestContext} t
 * @param {import('../protoo.js').ConnectOptions} [options]
 */
export async function setupOpen(t, options) {
  const all = await setup(t, options);
  all.connection.open();
  all.events.length = 0;
  return all;
}
