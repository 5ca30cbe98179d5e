import assert from 'node:assert/strict';
import { serve } from '../edge.mjs';
import { scenario, until } from '../harness.mjs';
import { look } from '../look.mjs';
import { callButton, connect, frames, inState, incoming, last, press, receives, ring } from '../steps.mjs';

const pair = (world, options = {}) => Promise.all([
  world.open('alice', { people: ['bob'], ...options.alice }),
  world.open('bob', { people: ['alice'], ...options.bob }),
]);

const state = (page, text) => page.locator('#call-state').getByText(text, { exact: true }).waitFor();

/** Nothing of a call is left: no camera is on, and the next call can begin. */
async function isIdle(page) {
  await until(page, () => {
    const { current } = globalThis.protoo.calls;
    return current.over && current.connection.signalingState === 'closed'
      && (current.local?.getTracks() ?? []).every((track) => track.readyState === 'ended');
  });
  assert.equal(await incoming(page).isVisible(), false);
}

scenario('a video call, hung up', async (world) => {
  const [alice, bob] = await pair(world, { alice: { device: 'computer-h56ag7' } });
  await ring(alice, bob, 'video');
  // Candidates arrive while it rings.
  await until(bob, () => [...document.querySelectorAll('#frames .in .method')].some((node) => node.textContent === 'candidate'));
  await look(alice, 'call ringing', 'Call');
  await look(bob, 'call incoming');
  await press(bob, 'Accept with camera');
  for (const page of [alice, bob]) {
    await inState(page, 'connected');
    await receives(page, 'video', 'framesDecoded');
    await receives(page, 'audio', 'packetsReceived');
    await until(page, () => document.getElementById('remote-video').videoWidth > 0);
    await until(page, () => /\d+×\d+ · .* ms$/.test(document.getElementById('call-stats').textContent));
  }
  await look(alice, 'call video', 'Call');

  await press(alice, 'Mute microphone');
  await bob.getByText('alice is muted.').waitFor();
  await press(alice, 'Turn camera off');
  await until(bob, () => !document.getElementById('remote-video').classList.contains('on'));
  await press(bob, 'Direct channel');
  await bob.getByRole('textbox', { name: 'Direct message' }).fill('I cannot hear you');
  await press(bob, 'Send directly');
  await alice.getByText('I cannot hear you').waitFor();
  await look(alice, 'call muted', 'Call');
  await look(bob, 'call without their camera', 'Call');
  await press(alice, 'Unmute microphone');
  await bob.getByText('alice is muted.').waitFor({ state: 'hidden' });
  await press(alice, 'Turn camera on');
  await until(bob, () => document.getElementById('remote-video').classList.contains('on'));

  await press(alice, 'Hang up');
  await state(alice, 'Call ended: hung up');
  await state(bob, 'Call ended: alice hung up');
  await last(bob).getByText(/^Video call, 0:\d\d · computer/).waitFor();
  for (const page of [alice, bob]) await isIdle(page);
  await look(alice, 'call ended', 'Call');

  // Again, the other way round, and from one side only.
  await press(bob, 'Call again');
  await press(alice, 'Accept without camera');
  await inState(bob, 'connected');
  await receives(alice, 'video', 'framesDecoded');
  await until(bob, () => !globalThis.protoo.calls.current.theirs.video);
  await press(bob, 'Hang up');
  await state(alice, 'Call ended: bob hung up');
});

scenario('calls that are rejected, and canceled', async (world) => {
  const [alice, bob] = await pair(world);
  await ring(alice, bob, 'audio');
  await press(bob, 'Decline');
  await state(alice, 'Call ended: declined');
  await last(alice).getByText('Voice call: declined').waitFor();
  await ring(alice, bob, 'text');
  await bob.keyboard.press('Escape');
  await state(alice, 'Call ended: declined');
  assert.equal((await frames(alice)).filter((frame) => /603\s+declined/.test(frame)).length, 2);
  for (const page of [alice, bob]) await isIdle(page);

  await ring(alice, bob, 'video');
  await press(alice, 'Cancel');
  await incoming(bob).waitFor({ state: 'hidden' });
  await state(alice, 'Call ended: canceled');
  await last(bob).getByText('Missed video call').waitFor();
  await ring(alice, bob, 'audio');
  await alice.keyboard.press('Escape'); // the focus is on the call
  await last(bob).getByText('Missed voice call').waitFor();

  // Before the server has said where to: the end follows when it does.
  await alice.evaluate(() => {
    const { calls } = globalThis.protoo;
    calls.start('bob', 'tab', 'text');
    const { current } = calls;
    current.addEventListener('state', () => { if (current.state === 'calling') setTimeout(() => current.hangUp()); }, { once: true });
  });
  await last(bob).getByText('Missed direct channel').waitFor();
  for (const page of [alice, bob]) await isIdle(page);
});

scenario('the other side closes its tab', async (world) => {
  const [alice, bob] = await pair(world);
  await connect(alice, bob, 'video');
  await receives(alice, 'video', 'framesDecoded');
  await bob.close();
  await inState(alice, 'ended');
  await isIdle(alice);
});

scenario('the other side vanishes without a word', async (world) => {
  const [alice, bob, carol] = [...await pair(world), await world.open('carol', { people: ['alice'] })];
  // Its last words do not get out.
  const silence = (page) => page.evaluate(() => { globalThis.protoo.calls.current.hangUp = () => {}; });
  await connect(alice, bob, 'video');
  await silence(bob);
  await bob.close();
  await state(alice, 'Call ended: bob went offline');
  await last(alice).getByText(/^Video call, 0:/).waitFor();
  await press(alice, 'Close');

  await callButton(carol, 'text').click();
  await incoming(alice).waitFor();
  await silence(carol);
  await carol.close();
  await incoming(alice).waitFor({ state: 'hidden' });
  await isIdle(alice);
}, { edge: { grace: '300ms' } });

scenario('a voice call, busy, and offline', async (world) => {
  const [alice, bob] = await pair(world, { alice: { people: ['carol', 'bob'] } });
  const carol = await world.open('carol', { people: ['bob', 'alice'] });
  await connect(alice, bob, 'audio');
  for (const page of [alice, bob]) await receives(page, 'audio', 'packetsReceived');
  assert.equal(await alice.getByRole('button', { name: 'Turn camera off' }).isVisible(), false);
  await callButton(carol, 'text').click();
  await state(carol, 'Call ended: busy');
  await press(alice, 'Hang up');
  await inState(bob, 'ended');

  await bob.evaluate(() => globalThis.protoo.calls.start('carol', 'elsewhere', 'text'));
  await state(bob, 'Call ended: carol · elsewhere is offline');
});

/** A window to which messages of the server can be held back; `hold` returns a promise of the first call among them. */
async function holdable(world) {
  const context = await world.context({ transport: 'websocket' }); // nothing else can be held
  let held;
  let called;
  let send;
  await context.routeWebSocket(/\/protoo\?/, (socket) => {
    send = (message) => socket.send(message);
    socket.connectToServer().onMessage((message) => {
      if (!held) return send(message);
      held.push(message);
      if (message.includes('"method":"session"')) called();
    });
  });
  return {
    context,
    hold() {
      held = [];
      return new Promise((resolve) => { called = resolve; });
    },
    release() {
      held.forEach(send);
      held = undefined;
    },
  };
}

scenario('two people call each other at the same moment', async (world) => {
  const sides = await Promise.all([holdable(world), holdable(world)]);
  const [alice, bob] = await pair(world, { alice: sides[0], bob: sides[1] });
  for (const page of [alice, bob]) await page.locator('#people .online').waitFor();
  for (const order of [sides, sides.toReversed()]) {
    const called = sides.map((side) => side.hold());
    for (const page of [alice, bob]) {
      await callButton(page, 'text').click();
      await inState(page, 'calling');
    }
    await Promise.all(called);
    for (const side of order) side.release();
    for (const page of [alice, bob]) await inState(page, 'connected');
    // The call of alice, who is first in the alphabet, has become the call.
    assert.equal(await alice.evaluate(() => globalThis.protoo.calls.current.outgoing), true);
    await alice.getByRole('textbox', { name: 'Direct message' }).fill('We meet');
    await press(alice, 'Send directly');
    await bob.getByText('We meet').waitFor();
    await press(alice, 'Hang up');
    await inState(bob, 'ended');
    await last(bob).getByText(/^Direct channel, 0:/).waitFor();
  }
});

scenario('a direct channel where there is no camera', async (world) => {
  const [alice, bob] = await pair(world);
  for (const page of [alice, bob]) {
    await page.evaluate(() => {
      navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('none', 'NotFoundError'));
    });
  }
  await connect(alice, bob, 'video');
  await alice.getByText('No camera or microphone found.').waitFor();
  await press(alice, 'Direct channel');
  const field = alice.getByRole('textbox', { name: 'Direct message' });
  await field.fill('Hello <directly>');
  await field.press('Enter');
  await bob.getByRole('log', { name: 'Direct messages' }).getByText('alice Hello <directly>').waitFor();
  await until(bob, () => /^[\d.]+ ms$/.test(document.getElementById('direct-ping').textContent));
  const sent = await frames(alice);
  assert.equal(sent.some((frame) => frame.includes('directly')), false, 'it went past the server');
  await press(bob, 'Hang up');
  await inState(alice, 'ended');

  // One of them has a camera: the other one sees it.
  await bob.reload();
  await until(alice, () => globalThis.protoo.people.get('bob').devices.length === 1);
  await connect(alice, bob, 'video');
  await receives(alice, 'video', 'framesDecoded');
  await press(bob, 'Hang up');

  // Nobody needs one.
  await inState(alice, 'ended');
  await connect(alice, bob, 'text');
  for (const text of ['Only text, and only between us', 'No camera needed']) {
    await field.fill(text);
    await press(alice, 'Send directly');
    await bob.getByText(text).waitFor();
  }
  await look(alice, 'call text', 'Call');
});

scenario('a call outlives the server, and so does hanging up', async (world) => {
  // Over WebTransport they would learn of it half a minute later.
  const [alice, bob] = await pair(world, { alice: { transport: 'websocket' }, bob: { transport: 'websocket' } });
  await connect(alice, bob, 'text');
  world.allow(/WebSocket connection to .* failed/);
  const { host } = world.edge;
  await world.edge.stop();
  await alice.locator('#status[data-state=reconnecting]').waitFor();
  await alice.getByRole('textbox', { name: 'Direct message' }).fill('Still here');
  await press(alice, 'Send directly');
  await bob.getByText('Still here').waitFor();
  await press(alice, 'Hang up');
  await state(bob, 'Call ended: alice hung up');

  world.edge = await serve({ addr: host });
  for (const page of [alice, bob]) await page.locator('#people .online').waitFor();
  await ring(alice, bob, 'text');
  await world.edge.stop();
  world.edge = await serve({ addr: host });
  for (const page of [alice, bob]) await isIdle(page);
  await state(alice, 'Call ended: the server has lost the call');
});

scenario('what others send in place of a call', async (world) => {
  const alice = await world.open('alice');
  const stranger = await world.open();
  const statuses = await stranger.evaluate(async () => {
    const { connect } = await import('/protoo.js');
    const peer = connect('/protoo', { username: 'mallory', uuid: '1' });
    const results = [];
    const call = (data, after) => peer.request('session', '/sessions/alice/tab', data, { onProvisional: after })
      .then(() => 200, (error) => error.status);
    for (const data of [undefined, null, 'offer', {}, { offer: {} }, { offer: { type: 'answer', sdp: '' } }, { offer: { type: 'offer', sdp: 'nonsense' } }]) {
      results.push(await call(data));
    }
    const there = new RTCPeerConnection();
    there.createDataChannel('x', { negotiated: true, id: 0 });
    await there.setLocalDescription();
    const candidates = [];
    results.push(await call({ kind: 'nothing known', offer: there.localDescription }, ({ status, data }) => {
      if (status === 180) peer.request('end', globalThis.path, {});
      if (status !== 100) return;
      globalThis.path = data.sessionPath;
      for (const candidate of [null, 'x', {}, { candidate: 'nonsense', sdpMid: '0' }, 5]) {
        candidates.push(peer.request('candidate', data.sessionPath, candidate).then(() => 200, (error) => error.status));
      }
    }));
    results.push(...await Promise.all(candidates));
    peer.close();
    return results;
  });
  assert.deepEqual(statuses.slice(0, 8), [488, 488, 488, 488, 488, 488, 488, 487]);
  await isIdle(alice);
});
