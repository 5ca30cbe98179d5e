// A request that somebody writes by hand, and all responses to it.
import { ProtooError } from '/protoo.js';
import { byId, element, setProblem } from './dom.js';

const MAX_RESPONSES = 60;

export class Raw {
  #connection;

  constructor(connection, people) {
    this.#connection = connection;
    const form = byId('raw-form');
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#send();
    });
    form.addEventListener('keydown', (event) => {
      if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) form.requestSubmit();
    });
    byId('raw-data').addEventListener('input', () => this.#read());
    byId('raw-path').addEventListener('focus', () => suggest(people));
  }

  /** The data that is typed: `{}` when there is none, nothing when it is not JSON. */
  #read() {
    const text = byId('raw-data').value.trim();
    let data;
    let problem = '';
    try {
      if (text) data = JSON.parse(text);
    } catch (error) {
      problem = `Not JSON: ${error.message}`;
    }
    setProblem(byId('raw-problem'), problem, byId('raw-data'));
    return problem ? undefined : { data };
  }

  async #send() {
    const read = this.#read();
    if (!read) return byId('raw-data').focus();
    const { peer } = this.#connection;
    const method = byId('raw-method').value.trim();
    const path = byId('raw-path').value.trim();
    const group = element('div', { className: 'exchange' },
      element('p', { className: 'asked' }, element('span', { className: 'method' }, method), ' ', element('span', { className: 'rest' }, path)));
    const list = byId('raw-responses');
    list.prepend(group);
    while (list.children.length > MAX_RESPONSES) list.lastChild.remove();

    const began = performance.now();
    const show = ({ status, reason, data }, local) => group.append(responsePart(status, local ? `${reason} (from this page)` : reason, data, performance.now() - began));
    try {
      show(await peer.request(method, path, read.data, { onProvisional: (response) => show(response, false) }), false);
    } catch (error) {
      if (!(error instanceof ProtooError)) throw error;
      show(error, error.local);
    }
  }
}

function responsePart(status, reason, data, elapsed) {
  const text = data === undefined ? null : element('pre', { tabIndex: 0 }, JSON.stringify(data, null, 2));
  return element('div', { className: 'response' },
    element('p', {},
      element('span', { className: `answer s${Math.floor(status / 100)}` }, String(status)), ' ',
      element('span', { className: 'rest' }, reason), ' ',
      element('span', { className: 'elapsed' }, `${elapsed.toFixed(1)} ms`)),
    text);
}

function suggest(people) {
  const paths = ['/echo', '/presence'];
  for (const { name, devices } of people.list) {
    const who = encodeURIComponent(name);
    paths.push(`/users/${who}`, ...devices.map((uuid) => `/users/${who}/${encodeURIComponent(uuid)}`));
  }
  byId('raw-paths').replaceChildren(...paths.map((value) => element('option', { value })));
}
