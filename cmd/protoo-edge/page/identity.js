import { browser, tab } from './storage.js';

const MAX_BYTES = 256; // the protocol's

/** Who to be: as before the reload, as the URL says, or as in other tabs but on a new device. */
export function proposal() {
  const query = new URLSearchParams(location.search);
  const before = tab.get('identity');
  const reloaded = before?.search === location.search;
  return {
    name: (reloaded ? before.name : query.get('name')) ?? browser.get('name') ?? '',
    device: (reloaded ? before.device : query.get('device')) || before?.device || newDevice(),
    with: query.getAll('with'),
    join: reloaded ? before.joined : query.has('join'),
  };
}

export function remember({ name, device }, joined) {
  tab.set('identity', { name, device, joined, search: location.search });
  browser.set('name', name);
}

/** What is wrong with a name that somebody typed, or nothing. */
export function nameProblem(name) {
  if (!name) return 'Type a name.';
  if (new TextEncoder().encode(name).length > MAX_BYTES) return 'That is too long.';
  if (/\p{Surrogate}/u.test(name)) return 'That is no text.';
  return '';
}

function newDevice() {
  const kind = matchMedia('(pointer: coarse)').matches ? 'phone' : 'computer';
  const letters = 'abcdefghjkmnpqrstuvwxyz23456789';
  // Not crypto.randomUUID, which pages have only on a secure origin.
  const random = crypto.getRandomValues(new Uint8Array(6));
  return `${kind}-${Array.from(random, (n) => letters[n % letters.length]).join('')}`;
}
