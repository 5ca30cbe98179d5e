// The page: who is here, the parts, and how they hang together.
import { CallView } from './call-view.js';
import { Calls } from './calls.js';
import { Chat } from './chat.js';
import { ChatView } from './chat-view.js';
import { Connection } from './connection.js';
import { byId, label, setProblem, setText } from './dom.js';
import { nameProblem, proposal, remember } from './identity.js';
import { People } from './people.js';
import { PeopleView } from './people-view.js';
import { Presence } from './presence.js';
import { Raw } from './raw.js';
import { Settings } from './settings.js';
import { StatusView } from './status-view.js';
import { browser } from './storage.js';
import { isDark, toggle } from './theme.js';
import { Wire } from './wire.js';

const settings = new Settings();
const people = new People();
const connection = new Connection(settings, (peer) => {
  for (const part of [presence, chat, calls]) part.prepare(peer);
});
const presence = new Presence(connection, people);
const chat = new Chat(connection, people);
const calls = new Calls(connection, people, settings);

new StatusView(connection);
new Wire(connection);
new Raw(connection, people);
new PeopleView(people, choose);
new ChatView(people, chat, calls);
new CallView(calls, settings, () => show('call'));

// For the console.
window.protoo = { connection, people, calls, settings };

const app = byId('app');
const proposed = proposal();

/** Shows a view; which of them there are at a time depends on the width. */
function show(view) {
  app.dataset.view = view;
  for (const tab of document.querySelectorAll('.tabs button')) {
    tab.setAttribute('aria-current', String(tab.dataset.view === view));
  }
}

function choose(person, { focus = true } = {}) {
  people.select(person);
  show('chat');
  // On a touch screen that would bring the keyboard up.
  if (focus && matchMedia('(hover: hover)').matches) byId('text').focus();
}

function join(identity) {
  remember(identity, true);
  setText(byId('my-name'), identity.name);
  setText(byId('my-device'), identity.device);
  byId('join').hidden = true;
  app.hidden = false;
  show('people');
  people.load(identity);
  connection.open(identity);
  app.focus(); // what had the focus is gone
  for (const name of proposed.with) {
    const person = people.add(name);
    if (person) choose(person, { focus: false });
  }
}

function leave() {
  remember(connection.identity, false);
  calls.current?.hangUp();
  connection.close();
  app.hidden = true;
  byId('join').hidden = false;
  byId('name').focus();
}

byId('name').value = proposed.name;
byId('device').value = proposed.device;
byId('join-form').addEventListener('submit', (event) => {
  event.preventDefault();
  const name = byId('name').value.trim();
  const device = byId('device').value.trim();
  const problems = { name: nameProblem(name), device: nameProblem(device) };
  for (const field in problems) setProblem(byId('join-problem'), problems.name || problems.device, byId(field), problems[field]);
  const wrong = Object.keys(problems).find((field) => problems[field]);
  if (wrong) byId(wrong).focus();
  else join({ name, device });
});

byId('leave').onclick = leave;

for (const tab of document.querySelectorAll('.tabs button')) tab.onclick = () => show(tab.dataset.view);
calls.addEventListener('close', () => {
  show('chat');
  app.focus();
});
calls.addEventListener('call', ({ call }) => {
  call.addEventListener('state', () => {
    // A call that never began leaves nothing to be seen in its own view.
    if (call.over && byId('call').hidden && app.dataset.view === 'call') show('chat');
    if (call.state === 'connecting' && !call.outgoing) people.select(people.get(call.other.username));
    showTitle();
  });
  showTitle();
});

function showTitle() {
  const caller = calls.current?.state === 'incoming' ? `${calls.current.other.username} calls · ` : '';
  const unread = people.unread ? `(${people.unread}) ` : '';
  document.title = `${caller}${unread}${app.hidden ? '' : `${people.me?.name ?? ''} · `}protoo`;
}
for (const type of ['person', 'list']) people.addEventListener(type, showTitle);

function showWire(on) {
  app.dataset.wire = on ? 'on' : 'off';
  byId('wire-toggle').setAttribute('aria-pressed', String(on));
}
byId('wire-toggle').onclick = () => {
  const on = app.dataset.wire === 'off';
  showWire(on);
  browser.set('wire', on);
};
showWire(browser.get('wire') ?? true);

function showTheme() {
  label(byId('theme'), isDark() ? 'Light theme' : 'Dark theme');
}
byId('theme').onclick = toggle;
document.addEventListener('themechange', showTheme);
showTheme();

for (const button of document.querySelectorAll('[data-open]')) {
  button.onclick = () => {
    button.closest('dialog')?.close();
    const dialog = byId(button.dataset.open);
    dialog.dispatchEvent(new Event('opening'));
    dialog.showModal();
  };
}
for (const button of document.querySelectorAll('[data-close]')) button.onclick = () => button.closest('dialog').close();

if (proposed.join && !nameProblem(proposed.name) && !nameProblem(proposed.device)) {
  join(proposed);
} else {
  byId('join').hidden = false;
  (proposed.name ? byId('join-form').querySelector('button') : byId('name')).focus();
}
