import assert from 'node:assert/strict';
import { serve } from '../edge.mjs';
import { online, scenario, until } from '../harness.mjs';
import { look } from '../look.mjs';
import { connect, frames, inState, last, press, write } from '../steps.mjs';

const banner = (page, text) => page.locator('#banner').getByText(text).waitFor();

scenario('a second tab with the same identity replaces the first', async (world) => {
  const bob = await world.open('bob', { people: ['alice'] });
  const context = await world.context();
  const first = await world.open('alice', { context, people: ['bob'] });
  await connect(first, bob, 'text');
  const second = await world.open('alice', { context, people: ['bob'] });
  await banner(first, 'You are online in another window.');
  // What the first tab was doing is over; messages come to the second one.
  await inState(first, 'ended');
  await inState(bob, 'ended');
  await write(bob, 'Which of you?');
  await last(bob).getByText('Delivered').waitFor();
  await last(second).getByText('Which of you?').waitFor();
  await write(first, 'Hello?');
  await last(first).getByText('Not delivered: you are disconnected').waitFor();

  await first.bringToFront(); // a tab behind another is slow to be ready for clicks
  await look(first, 'replaced', 'Chat');
  await press(first, 'Use here');
  await online(first);
  await banner(second, 'You are online in another window.');
  assert.equal(await first.locator('#banner').isVisible(), false);
  await press(first, 'Retry');
  await last(bob).getByText('Hello?').waitFor();
  assert.equal((await frames(bob)).some((frame) => /←\s*presence[^]*offline/.test(frame)), false);
});

scenario('two tabs of a browser are two devices', async (world) => {
  const context = await world.context();
  const tabs = [];
  for (let i = 0; i < 2; i++) {
    const page = await world.open(undefined, { context });
    if (i === 0) await page.getByLabel('Your name').fill('alice');
    assert.equal(await page.getByLabel('Your name').inputValue(), 'alice', 'the name is remembered');
    await press(page, 'Join');
    await online(page);
    tabs.push(page);
  }
  const devices = await Promise.all(tabs.map((page) => page.locator('#my-device').innerText()));
  assert.notEqual(devices[0], devices[1]);
  await tabs[0].reload();
  await online(tabs[0]);
  assert.equal(await tabs[0].locator('#my-device').innerText(), devices[0]);

  await tabs[1].bringToFront();
  await press(tabs[1], 'Leave');
  await tabs[1].getByRole('button', { name: 'Join' }).waitFor();
  await tabs[1].reload();
  await tabs[1].getByRole('button', { name: 'Join' }).waitFor();
});

// A connection over WebTransport is known to be lost when nothing has come for half a minute; one over WebSocket at once, as
// the system of the server that is gone says so.
scenario('the server is gone without a word, and the pages come back', async (world) => {
  const alice = await world.open('alice', { people: ['bob'], transport: 'websocket' });
  const bob = await world.open('bob', { people: ['alice'], transport: 'websocket' });
  await alice.locator('#people .online').waitFor();
  world.allow(/WebSocket connection to .* failed/);
  const { host } = world.edge;
  await world.edge.stop();
  await banner(alice, 'The connection was lost.');
  await alice.locator('#people').getByText('unknown').waitFor();
  await banner(alice, /Next attempt in \d s/);
  await write(alice, 'Written while nobody was there');
  await last(alice).getByText('Sending …').waitFor();
  world.edge = await serve({ addr: host });
  for (const page of [alice, bob]) {
    await online(page);
    await page.locator('#people .online').waitFor();
    assert.equal(await page.locator('#banner').isVisible(), false);
  }
  // It waited, and went out when the server was there; bob may have been slower to come back.
  await until(alice, () => /Delivered|Not delivered/.test(document.querySelector('#messages').innerText));
  if (await alice.getByRole('button', { name: 'Retry' }).isVisible()) await press(alice, 'Retry');
  await last(bob).getByText('Written while nobody was there').waitFor();
});

for (const [transport, name] of [['webtransport', 'WebTransport'], ['websocket', 'WebSocket']]) {
  scenario(`the server shuts down in an orderly way, over ${name}, and the page comes back`, async (world) => {
    const alice = await world.open('alice', { transport });
    world.allow(/WebSocket connection to .* failed|Failed to load resource: net::ERR_CONNECTION_REFUSED|Failed to establish a connection to https/);
    const { host } = world.edge;
    await world.edge.interrupt();
    await banner(alice, 'The server is gone.');
    await look(alice, `gone, ${name}`, 'People');
    await until(alice, () => document.getElementById('frames').innerText.includes('no connection: 1001 shutting down'));
    await world.edge.stop();
    world.edge = await serve({ addr: host });
    await online(alice);
    await alice.locator('#status-transport').getByText(name).waitFor();
  });
}
