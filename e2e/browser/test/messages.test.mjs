import assert from 'node:assert/strict';
import { online, scenario, until } from '../harness.mjs';
import { look } from '../look.mjs';
import { callButton, choose, frames, last, press, write } from '../steps.mjs';

scenario('two people join, add each other and write', async (world) => {
  const bob = await world.open();
  await look(bob, 'join');
  await press(bob, 'Connect from code');
  await look(bob, 'code');
  await press(bob, 'Close');
  await press(bob, 'Join');
  await bob.getByText('Type a name.').waitFor();
  await look(bob, 'join problem');
  await bob.getByLabel('Your name').fill('bob');
  await bob.getByLabel('Your name').press('Enter');
  await online(bob);
  await look(bob, 'nobody', 'People');
  const alice = await world.open('alice');

  const add = alice.getByRole('textbox', { name: 'Name of a person to add' });
  await add.fill('bob');
  await add.press('Enter');
  await alice.locator('#people .online').getByText('bob').waitFor();
  await alice.keyboard.type('Hi Bob!'); // the field for messages has the focus
  await alice.keyboard.press('Enter');
  await last(alice).getByText('Delivered').waitFor();

  // Who writes to somebody is added there.
  await bob.locator('#people').getByRole('button', { name: /alice.*1 unread/ }).click();
  await last(bob).getByText('Hi Bob!').waitFor();
  assert.equal(await bob.locator('#people .badge').isVisible(), false);
  await write(bob, 'Hi Alice!\n<b>& "quotes"</b> 🦊');
  await last(alice).getByText('<b>& "quotes"</b> 🦊').waitFor();

  const seen = (await frames(alice)).map((frame) => frame.replaceAll('\n', ' ')).join('\n');
  assert.match(seen, /→ message \/users\/bob$/m);
  assert.match(seen, /← 200 OK \d+ ms$/m);
  assert.match(seen, /← message \/users\/alice$/m);
});

scenario('a message goes to all devices, or to one', async (world) => {
  const laptop = await world.open('bob', { device: 'laptop', people: ['alice'] });
  const phone = await world.open('bob', { device: 'phone', people: ['alice'] });
  const alice = await world.open('alice', { people: ['carol', 'bob'], device: 'computer-h56ag7' });
  await alice.locator('#people').getByText('online · 2 devices').waitFor();
  await write(alice, 'I am on the train. Give me ten minutes, then we can talk about the\nframes, the sessions and everything else.');
  await last(alice).getByText('Delivered: message sent to 2 peers').waitFor();
  for (const page of [laptop, phone]) await last(page).getByText('on the train').waitFor();
  await write(phone, 'Fine, take your time');
  await last(alice).getByText('Fine').waitFor();

  await alice.getByLabel('To', { exact: true }).selectOption('phone');
  await write(alice, 'To the phone');
  await last(alice).getByText('Delivered').waitFor();
  await last(phone).getByText('To the phone').waitFor();
  assert.match(await last(laptop).locator('.text').innerText(), /on the train/);
  await look(alice, 'chat', 'Chat');

  // A call is for one device.
  await alice.getByLabel('To', { exact: true }).selectOption('');
  await callButton(alice, 'audio').click();
  await look(alice, 'devices');
  await press(alice, 'Cancel');

  // Their owner sees one device as the other's.
  await laptop.getByRole('textbox', { name: 'Name of a person to add' }).fill('bob');
  await press(laptop, 'Add person');
  await laptop.locator('#people .online').getByText('online · phone').waitFor();
});

scenario('a message that does not arrive is retried', async (world) => {
  const alice = await world.open('alice', { people: ['dave', 'bob'] });
  await write(alice, 'Are you there?');
  await last(alice).getByText('Not delivered: bob is offline').waitFor();
  await write(alice, 'averylongwordthatdoesnotfitintoanylineofanyphone'.repeat(3));
  await last(alice).getByText('Not delivered').waitFor();
  const dave = await world.open('dave', { people: ['alice'] });
  await write(dave, 'Lunch?');
  await alice.locator('#people .badge').getByText('1').waitFor();
  await look(alice, 'chat failed', 'Chat');
  await look(alice, 'people', 'People');
  const bob = await world.open('bob', { people: ['alice'] });
  await alice.locator('#people .online').getByText('bob').waitFor();
  await alice.getByRole('button', { name: 'Retry' }).first().click();
  await alice.locator('#messages > div').first().getByText('Delivered').waitFor();
  await last(bob).getByText('Are you there?').waitFor();

  // A device that does not answer.
  await bob.evaluate(async () => {
    const { connect } = await import('/protoo.js');
    const peer = connect('/protoo', { username: 'silent', uuid: 'tab' });
    peer.handle('*', '*', () => new Promise(() => {}));
    await peer.ready;
  });
  await alice.clock.install();
  await alice.getByRole('textbox', { name: 'Name of a person to add' }).fill('silent');
  await press(alice, 'Add person');
  await write(alice, 'Hello?');
  await alice.clock.runFor(11_000);
  await last(alice).getByText('Not confirmed: no answer in time').waitFor();
});

scenario('a reload within the grace period is nothing that others notice', async (world) => {
  const alice = await world.open('alice', { people: ['bob'] });
  const bob = await world.open('bob', { people: ['alice'] });
  await alice.locator('#people .online').getByText('bob').waitFor();
  await write(bob, 'Before');
  await last(bob).getByText('Delivered').waitFor();

  await bob.reload();
  await online(bob);
  await choose(bob, 'alice');
  await bob.getByText('Before').waitFor(); // messages are kept
  await write(bob, 'After');
  await last(alice).getByText('After').waitFor();
  const told = (await frames(alice)).filter((frame) => /←\s*presence/.test(frame));
  assert.equal(told.length, 1, 'only that bob came online in the first place');
  assert.equal(await alice.locator('#people .online').count(), 1);

  // Being away for longer is noticed.
  await bob.close();
  await alice.locator('#people').getByText('offline').waitFor();
});

scenario('names with everything in them', async (world) => {
  const name = '../a b?c=1&d#e%41/ü🦊';
  const odd = await world.open();
  await odd.getByLabel('Your name').fill(name);
  await odd.getByLabel('This device').fill('__proto__');
  await press(odd, 'Join');
  await online(odd);
  const alice = await world.open('alice', { people: [name, 'constructor', '__proto__'] });
  await choose(alice, 'online');
  await until(alice, () => document.querySelectorAll('#people .online').length === 1);
  await write(alice, 'Hello');
  await last(alice).getByText('Delivered').waitFor();
  await odd.locator('#people').getByRole('button', { name: /alice.*1 unread/ }).click();
  await last(odd).getByText('Hello').waitFor();
});

scenario('somebody else fills the list of people no further than it goes', async (world) => {
  const alice = await world.open('alice');
  const crowd = await world.open();
  const statuses = await crowd.evaluate(async () => {
    const { connect } = await import('/protoo.js');
    const results = [];
    for (let i = 0; i < 67; i++) {
      const peer = connect('/protoo', { username: `member ${i}`, uuid: '1' });
      results.push(peer.request('message', '/users/alice', { text: 'x'.repeat(i ? 10 : 5000) }).then(() => 200, (error) => error.status).finally(() => peer.close()));
    }
    return Promise.all(results);
  });
  assert.deepEqual([statuses.filter((s) => s === 200).length, statuses.filter((s) => s === 480).length], [64, 3]);
  await until(alice, () => document.querySelectorAll('#people > li').length === 64);
});
