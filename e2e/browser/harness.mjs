// Opens the page of a protoo-edge in Chromium, and watches that nothing goes wrong that a test does not look at.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { serve } from './edge.mjs';

const artifacts = process.env.E2E_ARTIFACTS ?? fileURLToPath(new URL('../artifacts/', import.meta.url));
mkdirSync(artifacts, { recursive: true });

// What a page waits for, such as a peer that is offline after its grace period, on a machine with other things to do.
const PATIENCE = 15_000;

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: [
    '--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream=fps=5',
    // There may be nobody to resolve the names that would hide the addresses.
    '--disable-features=WebRtcHideLocalIpsWithMdns',
  ],
});
after(() => browser.close());

/**
 * A test with a server of its own. `fn` gets a World. It fails for errors in the
 * console, of scripts and of the content security policy on any page, and for requests to other hosts.
 */
export function scenario(name, fn, { edge: flags = {} } = {}) {
  test(name, { timeout: 120_000 }, async () => {
    const world = new World(await serve(flags));
    try {
      await fn(world);
      await world.settle();
    } catch (error) {
      await world.keepEvidence(name);
      throw error;
    } finally {
      await world.close();
    }
    assert.deepEqual(world.problems, []);
  });
}

class World {
  problems = [];
  // Where WebTransport is not ready in time, a WebSocket is opened as well, and may then be given up.
  #allowed = [/WebSocket is closed before the connection is established/];
  #contexts = [];

  constructor(edge) {
    this.edge = edge;
  }

  /** Problems that a test causes on purpose. */
  allow(pattern) {
    this.#allowed.push(pattern);
  }

  /** A window of a browser that remembers nothing but a choice of transport; other pages of `page.context()` are its tabs. */
  async context({ transport, ...options } = {}) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, reducedMotion: 'reduce', ...options });
    context.setDefaultTimeout(PATIENCE);
    this.#contexts.push(context);
    context.on('page', (page) => this.#watch(page));
    await context.exposeBinding('cspViolation', ({ page }, text) => this.#problem(page, `content security policy: ${text}`));
    if (transport) {
      await context.addInitScript((settings) => {
        if (location.protocol !== 'about:') localStorage['protoo.settings'] ??= settings;
      }, JSON.stringify({ transport }));
    }
    await context.addInitScript(() => {
      addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) =>
        globalThis.cspViolation(`${violatedDirective} ${blockedURI}`));
    });
    return context;
  }

  /** A page on which somebody has joined, unless `name` is left out. */
  async open(name, { device = 'tab', people = [], context, ...options } = {}) {
    context ??= await this.context(options);
    const page = await context.newPage();
    const params = new URLSearchParams(name ? { name, device, join: '' } : {});
    for (const person of people) params.append('with', person);
    await page.goto(`${this.edge.url}/?${params}`);
    if (name) await online(page);
    return page;
  }

  #watch(page) {
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) this.#problem(page, `console: ${message.text()}`);
    });
    page.on('pageerror', (error) => this.#problem(page, `script: ${error.stack}`));
    page.on('request', (request) => {
      if (!/^(data|blob):/.test(request.url()) && new URL(request.url()).host !== this.edge.host) {
        this.#problem(page, `request to ${request.url()}`);
      }
    });
  }

  #problem(page, text) {
    if (!this.#allowed.some((pattern) => pattern.test(text))) this.problems.push(`${page?.url()} ${text}`);
  }

  get pages() {
    return this.#contexts.flatMap((context) => context.pages());
  }

  /** Lets what the pages have begun come to its end, so that its errors count. */
  async settle() {
    for (const page of this.pages) await page.evaluate(() => new Promise((resolve) => setTimeout(resolve)));
  }

  async keepEvidence(name) {
    for (const [i, page] of this.pages.entries()) {
      await shoot(page, `failed ${name} ${i + 1}`).catch(() => {});
    }
    if (this.problems.length) console.error(this.problems.join('\n'));
  }

  async close() {
    for (const context of this.#contexts) await context.close();
    await this.edge.stop();
  }
}

export const online = (page) => page.locator('#status[data-state=online]').waitFor();

/** Waits until a function, which runs in the page, returns something true. */
export const until = (page, fn, argument) => page.waitForFunction(fn, argument);

/** Keeps a screenshot as an artefact of the run. */
export async function shoot(page, name) {
  await page.screenshot({ path: `${artifacts}/${name.replace(/\W+/g, '-')}.png` });
}
