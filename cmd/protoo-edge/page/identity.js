import { browser, tab } from './storage.js';

const MAX_BYTES = 256; // the protocol's

/** Who to be: as before the reload, as the URL says, or as in other tabs but on a new device. */
export function proposal() {
  const query = new URLSearchParams(location.search);
  return {
    name: tab.get('name') ?? query.get('name') ?? browser.get('name') ?? '',
    device: tab.get('device') ?? query.get('device') ?? newDevice(),
    with: query.getAll('with'),
    join: tab.get('joined') ?? query.has('join'),
  };
}

export function remember({ name, device }) {
  tab.set('name', name);
  tab.set('device', device);
  tab.set('joined', true);
  browser.set('name', name);
}

export function forget() {
  tab.set('joined', false);
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
