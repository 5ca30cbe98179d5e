// What somebody does on the page, by the names that everybody sees or hears.

export const choose = (page, name) => page.locator('#people').getByRole('button', { name: new RegExp(`^(?!Remove).*${name}`) }).click();

export async function write(page, text) {
  const field = page.getByLabel('Message', { exact: true });
  await field.fill(text);
  await field.press('Enter');
}

/** The last message or event in the conversation that is open. */
export const last = (page) => page.locator('#messages > div').last();

export const callButton = (page, kind) => page.getByRole('group', { name: 'Call', exact: true })
  .getByRole('button', { name: { video: 'Video call', audio: 'Voice call', text: 'Direct channel, without camera' }[kind] });

export const press = (page, name) => page.getByRole('button', { name, exact: true }).click();

export const inState = (page, state) => page.locator(`#call[data-state=${state}]`).waitFor();

export const incoming = (page) => page.getByRole('dialog', { name: /is calling$/ });

/** Calls from one page to the other, up to the ringing. */
export async function ring(caller, callee, kind) {
  await callButton(caller, kind).click();
  await incoming(callee).waitFor();
  await inState(caller, 'ringing');
}

export async function connect(caller, callee, kind) {
  await ring(caller, callee, kind);
  await press(callee, kind === 'video' ? 'Accept with camera' : 'Accept');
  await inState(caller, 'connected');
  await inState(callee, 'connected');
}

/** Waits until the page has received media of a kind, by a figure of its statistics: the frames it has decoded, say. */
export const receives = (page, kind, figure) => page.evaluate(async ([kind, figure]) => {
  for (const end = Date.now() + 15_000; Date.now() < end; await new Promise((resolve) => setTimeout(resolve, 50))) {
    const report = await globalThis.protoo.calls.current.connection.getStats();
    if ([...report.values()].some((entry) => entry.type === 'inbound-rtp' && entry.kind === kind && entry[figure] > 0)) return;
  }
  throw new Error(`no ${figure} of ${kind}`);
}, [kind, figure]);

/** What the panel of frames shows, one string a frame. */
export const frames = (page) => page.locator('#frames > li:not([hidden])').allInnerTexts();
