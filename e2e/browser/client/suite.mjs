// The tests of client/js in a browser.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { after, before, suite, test } from 'node:test';
import { scenarios } from '../../../client/js/test/scenarios.js';
import { browsers } from './browsers.mjs';
import { startLink, startServer } from './servers.mjs';

const TIMEOUT = 180_000;
/** In which a browser notices that a QUIC connection is lost: both sides give up after 30 s without a packet. */
const PATIENCE = { webtransport: 45_000, websocket: 0 };

/** What Firefox calls an error in the page when a WebSocket fails. */
const LOST_SOCKET = /establish a connection to the server at ws:|connection to ws:.* was interrupted/;

/** What is served to the pages. */
const files = [
  [/^\/$/, () => new URL('index.html', import.meta.url)],
  [/^\/client\/(\w+\.js)$/, ([, name]) => new URL(name, import.meta.url)],
  [/^\/js\/((?:test\/)?\w+\.js)$/, ([, name]) => new URL(`../../../client/js/${name}`, import.meta.url)],
];

async function serveFiles() {
  const server = createServer(async ({ url }, response) => {
    for (const [pattern, find] of files) {
      const match = url.match(pattern);
      if (!match) continue;
      response.setHeader('Content-Type', url === '/' ? 'text/html' : 'text/javascript');
      return response.end(await readFile(find(match)));
    }
    response.writeHead(404).end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${server.address().port}/`, close: () => server.close() };
}

/** Opens and closes windows one at a time: Firefox's driver loses a page that is opened while another is closed. */
let lastTurn = Promise.resolve();
function inTurn(fn) {
  lastTurn = lastTurn.then(fn, fn);
  return lastTurn;
}

/** A test's servers, and its pages. */
class Stage {
  #site;
  #context;
  #servers = new Map();
  #links = new Map();
  #problems = [];

  constructor(site, context) {
    this.#site = site;
    this.#context = context;
  }

  async start(options) {
    const server = await startServer(options);
    this.#servers.set(server.host, server);
    return server;
  }

  async link(host) {
    const link = await startLink(host);
    this.#links.set(link.host, link);
    return link;
  }

  #rpc = {
    hashes: () => [...this.#servers.values()].flatMap(({ hashes }) => hashes),
    start: async (options) => (await this.start(options)).host,
    stop: (host, signal) => this.#servers.get(host).stop(signal),
    disconnected: (host, peer) => this.#servers.get(host).disconnected(peer),
    link: async (host) => (await this.link(host)).host,
    block: (host) => this.#links.get(host).block(),
    restore: (host) => this.#links.get(host).restore(),
  };

  async page() {
    const page = await inTurn(() => this.#context.newPage());
    page.on('pageerror', (error) => {
      if (!LOST_SOCKET.test(error.message)) this.#problems.push(error.stack ?? String(error));
    });
    await page.exposeFunction('rpc', (name, ...args) => this.#rpc[name](...args));
    await page.goto(this.#site);
    await page.waitForFunction(() => 'call' in globalThis);
    return {
      call: async (...args) => {
        const { value, error } = await page.evaluate((args) => globalThis.call(...args), args);
        if (error) throw new Error(`in the page: ${error}`);
        return value;
      },
      reload: async () => {
        await page.reload();
        await page.waitForFunction(() => 'call' in globalThis);
      },
      close: () => inTurn(() => page.close()),
    };
  }

  async end() {
    await inTurn(() => this.#context.close());
    for (const link of this.#links.values()) link.stop();
    for (const server of this.#servers.values()) await server.stop();
    assert.deepEqual(this.#problems, [], 'errors on a page');
  }
}

/** Every code that a server may close with, and reasons that are easy to get wrong. */
const CLOSES = [
  ...[1000, 1001, 1002, 1003, 1007, 1008, 1009, 1011, 1012, 1013, 3000, 3999, 4000, 4403, 4999].map((code) => [code, `because of ${code}`]),
  [4000, ''],
  [4001, 'x'.repeat(123)],
  [4002, 'Grüße, 🦊 and "quotes"\\'],
];

/** Makes the tests of a browser. */
export function testClient(name) {
  let site;
  let browser;
  before(async () => {
    [site, browser] = await Promise.all([serveFiles(), browsers[name]()]);
  });
  after(async () => {
    await browser?.close();
    site?.close();
  });
  const staged = (title, fn) => test(title, { timeout: TIMEOUT }, async () => {
    const stage = new Stage(site.url, await inTurn(() => browser.newContext()));
    try {
      await fn(stage);
    } finally {
      await stage.end();
    }
  });

  for (const transport of ['webtransport', 'websocket']) {
    suite(`${name}, ${transport}`, { concurrency: 3 }, () => {
      for (const title of Object.keys(scenarios)) {
        staged(title, async (stage) => (await stage.page()).call('scenario', title, transport, PATIENCE[transport]));
      }

      staged('the page sees how the server closes', async (stage) => {
        const { host } = await stage.start();
        const page = await stage.page();
        for (const [code, reason] of CLOSES) {
          assert.deepEqual(await page.call('closedByServer', host, { transport }, code, reason), [code, reason]);
        }
      });

      staged('the server sees how the page closes', async (stage) => {
        const server = await stage.start();
        const page = await stage.page();
        for (const [code, reason] of CLOSES.filter(([code]) => code === 1000 || code >= 3000)) {
          await page.call('closedByPage', server.host, { transport }, code, reason);
          assert.deepEqual(await server.disconnected('alice/tab'), [code, reason]);
        }
      });

      staged('a page that is reloaded leaves at once, and comes back', async (stage) => {
        const server = await stage.start();
        const page = await stage.page();
        for (let i = 0; i < 3; i++) {
          assert.equal(await page.call('open', server.host, { transport }), transport);
          await page.reload();
          const [code] = await server.disconnected('alice/tab');
          assert.ok(code === 1001 || code === 1005, `code ${code}`);
        }
        await page.call('open', server.host, { transport });
        await page.close();
        await server.disconnected('alice/tab');
      });
    });
  }

  suite(`${name}, webtransport alone`, { concurrency: 3 }, () => {
    staged('a page that is refused learns why', async (stage) => {
      const { host } = await stage.start();
      const page = await stage.page();
      for (const status of [401, 403, 429]) {
        assert.deepEqual(await page.call('refused', host, { transport: 'webtransport' }, status), [4000 + status, 'refused as asked for']);
      }
    });

    staged('datagrams, both ways', async (stage) => {
      const { host } = await stage.start();
      const data = { text: 'Grüße 🦊', n: 1 };
      assert.deepEqual(await (await stage.page()).call('datagram', host, data), data);
    });

    staged('a page that never reads is closed', async (stage) => {
      const server = await stage.start();
      await (await stage.page()).call('neverRead', server.host);
      assert.deepEqual(await server.disconnected('alice/tab'), [1013, 'too slow']);
    });
  });

  suite(`${name}, auto`, () => {
    staged('where there is WebTransport, that is what it takes, and takes again', async (stage) => {
      const { host } = await stage.start();
      const page = await stage.page();
      assert.deepEqual(await page.call('openTwice', host, {}), ['webtransport', 'webtransport']);
      assert.deepEqual(await page.call('remembered'), []);
    });

    staged('where UDP does not come through, WebSocket, which the next page remembers', async (stage) => {
      const { host } = await stage.start();
      const link = await stage.link(host);
      link.block(['udp']);
      const page = await stage.page();
      assert.deepEqual(await page.call('openTwice', link.host, {}), ['websocket', 'websocket']);
      assert.deepEqual(await page.call('remembered'), [`protoo.websocket ${link.host}`]);
      await page.close();
      link.restore();
      assert.equal(await (await stage.page()).call('open', link.host, { uuid: 'other' }), 'websocket');
    });
  });
}
