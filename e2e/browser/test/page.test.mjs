import assert from 'node:assert/strict';
import { online, scenario, until } from '../harness.mjs';
import { checkNoSidewaysScroll, look } from '../look.mjs';
import { connect, frames, inState, last, press, write } from '../steps.mjs';

scenario('two panes in one window', async (world) => {
  const page = await (await world.context()).newPage();
  await page.goto(`${world.edge.url}/?split`);
  const [alice, bob] = ['alice', 'bob'].map((name) => page.frames().find((frame) => frame.url().includes(`name=${name}`)));
  for (const pane of [alice, bob]) await pane.locator('#people .online').waitFor({ state: 'attached' });
  await write(alice, 'Hi Bob!');
  await last(bob).getByText('Hi Bob!').waitFor();
  await look(page, 'split');
  await connect(bob, alice, 'video');
  for (const pane of [alice, bob]) await until(pane, () => document.getElementById('remote-video').videoWidth > 0);
  await press(alice, 'Hang up');
  await inState(bob, 'ended');
});

scenario('a raw request, with all its responses', async (world) => {
  const bob = await world.open('bob');
  const page = await world.open('alice');
  await page.getByText('Send a raw request').click();
  const responses = page.locator('#raw-responses > div');
  const send = async (method, path, data) => {
    await page.getByLabel('Method').fill(method);
    await page.getByLabel('Path').fill(path);
    await page.getByLabel('Data, as JSON').fill(data);
    await page.getByLabel('Data, as JSON').press('Control+Enter');
  };
  await send('anything', '/echo', '{"list": [1, 2.5, "🦊"]}');
  await responses.first().getByText('200').waitFor();
  assert.deepEqual(JSON.parse(await responses.first().locator('pre').innerText()), { list: [1, 2.5, '🦊'] });
  await send('anything', '/nowhere', '');
  await responses.first().getByText('no handler for anything at /nowhere').waitFor();
  await send('no method', '/echo', '1');
  await responses.first().getByText('invalid message').waitFor();
  await send('message', '/echo', '{"list": ');
  await page.getByText('Not JSON').waitFor();
  assert.equal(await responses.count(), 3, 'nothing was sent');
  assert.equal(await page.getByLabel('Data, as JSON').getAttribute('aria-invalid'), 'true');
  await look(page, 'raw', 'Wire');

  // Provisional responses are shown as well: a call without an offer, and one that rings.
  await send('session', '/sessions/bob/tab', '{}');
  await responses.first().getByText('488').waitFor();
  assert.match(await responses.first().innerText(), /100[^]*connecting[^]*sessionPath[^]*488[^]*no offer/);
  const offer = await bob.evaluate(async () => {
    const connection = new RTCPeerConnection();
    connection.createDataChannel('x');
    return connection.createOffer();
  });
  await send('session', '/sessions/bob/tab', JSON.stringify({ offer }));
  await responses.first().getByText('180').waitFor();
  await press(bob, 'Decline');
  await responses.first().getByText('603').waitFor();
});

scenario('the panel of frames', async (world) => {
  const page = await world.open('alice', { permissions: ['clipboard-read', 'clipboard-write'] });
  const echo = (n) => page.evaluate((n) => Promise.all(Array.from({ length: n }, (_, i) =>
    globalThis.protoo.connection.peer.request('message', '/echo', `number ${i}`))), n);
  await echo(2);
  await page.getByText('6 frames', { exact: true }).waitFor();
  const filter = page.getByRole('searchbox', { name: 'Filter frames' });
  await filter.fill('Number 1');
  await page.getByText('2 of 6 frames').waitFor();
  assert.deepEqual((await frames(page)).map((frame) => /message|200/.exec(frame)[0]), ['message', '200']);
  await press(page, 'Copy');
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  assert.match(copied, /^\d\d:\d\d:\d\d\.\d{3} > {"method":"message","path":"\/echo","id":"[^"]+","data":"number 1"}\n\d\d:\d\d:\d\d\.\d{3} < {"status":200,.*}$/);
  await filter.fill('');

  await press(page, 'Pause');
  await echo(3);
  await page.getByText('paused, 6 new').waitFor();
  assert.equal((await frames(page)).length, 8); // two of them are notes
  await press(page, 'Pause');
  await page.getByText('12 frames', { exact: true }).waitFor();

  // The keyboard goes from frame to frame and opens them.
  await page.locator('#frames').focus();
  await page.keyboard.press('ArrowUp');
  await page.keyboard.press('ArrowUp');
  await page.keyboard.press('Enter');
  await page.locator('#frames pre').getByText('"reason": "OK"').waitFor();
  await look(page, 'wire', 'Wire');

  await echo(300);
  await page.getByText('500 frames', { exact: true }).waitFor();
  assert.equal(await page.locator('#frames > li').count(), 500);
  const atEnd = () => until(page, () => {
    const { scrollTop, scrollHeight, clientHeight } = document.getElementById('frames');
    return scrollHeight - scrollTop - clientHeight < 2;
  });
  await atEnd();
  await page.getByText('Send a raw request').click(); // which takes room from the frames
  await atEnd();
  await press(page, 'Clear');
  await page.getByText('0 frames').waitFor();
  assert.equal(await page.locator('#frames > li').count(), 0);
});

scenario('settings and themes are remembered', async (world) => {
  const context = await world.context({ colorScheme: 'light' });
  const page = await world.open('alice', { context });
  await press(page, 'Settings');
  const ice = page.getByLabel('ICE servers');
  for (const wrong of ['http://example.org', 'stun:', 'turn:example.org', 'stun:a b', 'turn:a b c d']) {
    await ice.fill(wrong);
    await press(page, 'Save');
    await page.locator('#ice-problem').filter({ hasText: /./ }).waitFor();
  }
  await look(page, 'settings');
  await ice.fill('stun:stun.example.org:3478\n\nturn:turn.example.org?transport=tcp user secret');
  await page.getByLabel('Ring aloud').uncheck();
  await press(page, 'Save');
  await page.getByRole('dialog').waitFor({ state: 'hidden' });

  const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await background();
  await press(page, 'Dark theme');
  const dark = await background();
  assert.notEqual(dark, light);

  await page.reload();
  await online(page);
  assert.equal(await background(), dark);
  assert.deepEqual(await page.evaluate(() => globalThis.protoo.settings), {
    iceServers: [
      { urls: 'stun:stun.example.org:3478' },
      { urls: 'turn:turn.example.org?transport=tcp', username: 'user', credential: 'secret' },
    ],
    sound: false,
    transport: 'auto',
  });
  await press(page, 'Settings');
  assert.match(await ice.inputValue(), /^stun:.*\n\nturn:/);
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'hidden' });
});

scenario('the page shows what it is connected over, and lets one choose', async (world) => {
  const page = await world.open('alice');
  const shown = page.locator('#status-transport');
  const choose = async (name) => {
    await press(page, 'Settings');
    await page.getByLabel('Connection').selectOption(name);
    if (name === 'WebTransport') await look(page, 'transport');
    await press(page, 'Save');
    await page.getByRole('dialog').waitFor({ state: 'hidden' });
  };
  await shown.getByText('WebTransport').waitFor();
  await page.locator('#frames').getByText('connected over WebTransport').waitFor();
  for (const [name, transport] of [['WebSocket', 'WebSocket'], ['WebTransport', 'WebTransport'], ['WebSocket', 'WebSocket'], ['Automatic', 'WebTransport']]) {
    await choose(name);
    await online(page);
    await shown.getByText(transport).waitFor();
    if (name !== 'WebSocket') continue;
    await page.reload();
    await online(page);
    assert.equal(await shown.innerText(), transport, 'it is remembered');
  }
});

scenario('a browser without WebTransport', async (world) => {
  const context = await world.context({ transport: 'webtransport' }); // as if it had been chosen in another time
  await context.addInitScript(() => { delete globalThis.WebTransport; });
  const page = await world.open('alice', { context });
  await page.locator('#status-transport').getByText('WebSocket').waitFor();
  await press(page, 'Settings');
  assert.equal(await page.getByLabel('Connection').inputValue(), 'auto');
  assert.equal(await page.getByRole('option', { name: 'WebTransport' }).isDisabled(), true);
  await page.getByText('This browser has no WebTransport.').waitFor();
});

scenario('everything by keyboard, on a narrow screen', async (world) => {
  const size = { viewport: { width: 360, height: 640 } };
  await world.open('bob');
  const page = await world.open(undefined, size);
  await page.keyboard.type('alice'); // the field for the name has the focus
  await page.keyboard.press('Enter');
  await online(page);
  const tabTo = async (name) => {
    for (let i = 0; i < 40; i++) {
      const there = await page.evaluate(() => {
        const node = document.activeElement;
        return node.getAttribute('aria-label') ?? node.labels?.[0]?.innerText ?? node.innerText;
      });
      if (there?.trim() === name) return;
      await page.keyboard.press('Tab');
    }
    assert.fail(`no way to ${name} with the tab key`);
  };
  await tabTo('Name of a person to add');
  await page.keyboard.type('bob');
  await page.keyboard.press('Enter');
  await page.locator('#conversation.online').waitFor();
  await tabTo('Message');
  await page.keyboard.type('Hi');
  await page.keyboard.press('Shift+Enter');
  await page.keyboard.type('Bob!');
  await page.keyboard.press('Enter');
  await last(page).getByText('Delivered').waitFor();
  assert.equal(await last(page).locator('.text').innerText(), 'Hi\nBob!');
  await tabTo('Wire');
  await page.keyboard.press('Enter');
  await page.getByRole('searchbox', { name: 'Filter frames' }).waitFor();
  await checkNoSidewaysScroll(page, 'wire');
  await tabTo('Settings');
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor();
  await page.keyboard.press('Escape');
  // The focus is back where it came from, and visible.
  const focus = await page.evaluate(() => ({ name: document.activeElement.ariaLabel, outline: getComputedStyle(document.activeElement).outlineStyle }));
  assert.deepEqual(focus, { name: 'Settings', outline: 'solid' });
});
