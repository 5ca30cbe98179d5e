// That the page works in Firefox as well. What it does is tested in Chromium.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { browsers } from '../client/browsers.mjs';
import { serve } from '../edge.mjs';

const browser = await browsers.firefox();
after(() => browser.close());

test('two people write to each other over WebTransport in Firefox', { timeout: 120_000 }, async (t) => {
  const edge = await serve();
  t.after(() => edge.stop());
  const context = await browser.newContext();
  const problems = [];
  const open = async (name, other) => {
    const page = await context.newPage();
    page.on('pageerror', (error) => problems.push(error.message));
    await page.goto(`${edge.url}/?name=${name}&device=tab&with=${other}&join`);
    const show = (selector, text) => page.waitForFunction(
      (selector, text) => document.querySelector(selector)?.textContent.includes(text), {}, selector, text);
    await show('#status[data-state=online] #status-transport', 'WebTransport');
    return { page, show };
  };
  const alice = await open('alice', 'bob');
  const bob = await open('bob', 'alice');
  for (const { page } of [alice, bob]) await page.waitForSelector('#people .online');
  await bob.page.bringToFront();
  await bob.page.type('#text', 'Grüße');
  await bob.page.keyboard.press('Enter');
  await bob.show('#messages', 'Delivered');
  await alice.show('#messages', 'Grüße');
  assert.deepEqual(problems, []);
});
