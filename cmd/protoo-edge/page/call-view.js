// The call: the dialog that rings, the stage with its controls, and the direct channel.
import { announce, byId, element, keepAtEnd, label, paintAvatar, setText } from './dom.js';
import { duration } from './format.js';
import { ring, silence } from './sound.js';

const MAX_LINES = 200;
const KINDS = { video: 'Video call', audio: 'Voice call', text: 'Direct channel' };
const STATES = { preparing: 'Starting …', calling: 'Calling …', ringing: 'Ringing …', incoming: 'Incoming', connecting: 'Connecting …' };

export class CallView {
  #calls;
  #settings;
  #call;
  #clock;
  #heard; // the state that the sound is for

  constructor(calls, settings, showCall) {
    this.#calls = calls;
    this.#settings = settings;
    calls.addEventListener('call', ({ call }) => this.#begin(call, showCall));

    keepAtEnd(byId('direct-log'));
    byId('accept').onclick = () => this.#call.accept();
    byId('accept-audio').onclick = () => this.#call.accept({ camera: false });
    byId('decline').onclick = () => this.#call.decline();
    const incoming = byId('incoming');
    incoming.addEventListener('cancel', (event) => {
      event.preventDefault();
      this.#call.decline();
    });
    byId('mute').onclick = () => this.#call.setMuted(!this.#call.muted);
    byId('camera').onclick = () => this.#call.setCameraOff(!this.#call.cameraOff);
    byId('direct-toggle').onclick = () => {
      this.#showDirect(byId('direct').hidden);
      if (!byId('direct').hidden) byId('direct-text').focus();
    };
    byId('hang-up').onclick = () => this.#call.hangUp();
    byId('call-again').onclick = () => {
      const { other, kind } = this.#call;
      calls.start(other.username, other.uuid, kind);
    };
    byId('call-close').onclick = () => this.#close();
    byId('call').addEventListener('keydown', (event) => {
      if (event.key !== 'Escape') return;
      if (this.#call.over) this.#close();
      else if (!this.#call.connectedAt) this.#call.hangUp();
    });
    byId('direct-form').addEventListener('submit', (event) => {
      event.preventDefault();
      const field = byId('direct-text');
      const text = field.value.trim();
      if (!text || !this.#call.sendText(text)) return;
      this.#say('You', text);
      field.value = '';
    });
  }

  #begin(call, showCall) {
    this.#call = call;
    const { username, uuid } = call.other;
    byId('remote-video').srcObject = call.remote;
    setText(byId('call-name'), username);
    setText(byId('call-device'), uuid);
    for (const id of ['call-avatar', 'incoming-avatar']) paintAvatar(byId(id), username);
    byId('direct-log').replaceChildren();
    this.#showDirect(call.kind === 'text');
    call.addEventListener('state', () => this.#show(call));
    call.addEventListener('change', () => this.#show(call));
    call.addEventListener('text', ({ text }) => this.#say(username, text));
    this.#show(call);
    if (call.outgoing) {
      showCall();
      byId('call').focus();
    } else {
      call.addEventListener('state', () => {
        if (call.state === 'connecting') showCall();
      }, { once: true });
      announce(`${username} calls`);
    }
  }

  #show(call) {
    if (call !== this.#call) return;
    this.#showIncoming();
    this.#showStage();
    this.#showControls();
    this.#sound();
    clearInterval(this.#clock);
    if (call.state === 'connected') this.#clock = setInterval(() => this.#showFigures(), 500);
    this.#showFigures();
  }

  #showIncoming() {
    const { state, kind, other: { username, uuid } } = this.#call;
    const dialog = byId('incoming');
    if (state === 'incoming' && !dialog.open) {
      setText(byId('incoming-title'), `${username} is calling`);
      setText(byId('incoming-text'), `${KINDS[kind]} from ${uuid}`);
      setText(byId('accept'), kind === 'video' ? 'Accept with camera' : 'Accept');
      byId('accept-audio').hidden = kind !== 'video';
      dialog.showModal();
    } else if (state !== 'incoming' && dialog.open) {
      dialog.close();
    }
  }

  #showStage() {
    const call = this.#call;
    const { state, kind, over, local, theirs, unstable, other: { username } } = call;
    const panel = byId('call');
    const unanswered = over && !call.outgoing && !call.connectedAt;
    panel.hidden = state === 'incoming' || unanswered;
    byId('call-tab').hidden = panel.hidden;
    panel.dataset.state = state;
    panel.dataset.kind = kind;
    byId('remote-video').classList.toggle('on', this.#seesThem);
    byId('call-face').hidden = this.#seesThem;
    byId('call-avatar').classList.toggle('ringing', state === 'calling' || state === 'ringing');

    const self = byId('local-video');
    const shows = !over && !call.cameraOff && Boolean(local?.getVideoTracks().length);
    if (self.srcObject !== (local ?? null)) self.srcObject = local ?? null;
    self.classList.toggle('on', shows);

    const quiet = state === 'connected' && kind !== 'text' && !theirs.audio;
    setText(byId('call-state'), over ? `Call ended: ${call.ending}` : unstable ? 'The connection is unstable …' : STATES[state] ?? '');
    setText(byId('call-note'), over ? '' : [call.problem, quiet ? `${username} is muted.` : ''].filter(Boolean).join(' '));
  }

  get #seesThem() {
    const { state, theirs, remote } = this.#call;
    return state === 'connected' && theirs.video && remote.getVideoTracks().length > 0;
  }

  #showControls() {
    const call = this.#call;
    const { over, local, muted, cameraOff } = call;
    const has = (kind) => !over && Boolean(local?.getTracks().some((track) => track.kind === kind));
    const mute = byId('mute');
    mute.hidden = !has('audio');
    mute.setAttribute('aria-pressed', String(muted));
    label(mute, muted ? 'Unmute microphone' : 'Mute microphone');
    const camera = byId('camera');
    camera.hidden = !has('video');
    camera.setAttribute('aria-pressed', String(cameraOff));
    label(camera, cameraOff ? 'Turn camera on' : 'Turn camera off');
    byId('direct-toggle').hidden = over || call.kind === 'text';
    byId('hang-up').hidden = over;
    setText(byId('hang-up-text'), call.connectedAt || call.state === 'connecting' ? 'Hang up' : 'Cancel');
    byId('call-again').hidden = !over;
    byId('call-close').hidden = !over;
    byId('direct-text').disabled = byId('direct-form').querySelector('button').disabled = call.state !== 'connected';
    if (over && byId('call').contains(document.activeElement)) byId('call').focus();
  }

  #showFigures() {
    const { connectedAt, endedAt, state, ping } = this.#call;
    setText(byId('call-time'), connectedAt ? duration((endedAt ?? Date.now()) - connectedAt) : '');
    const { videoWidth, videoHeight } = byId('remote-video');
    const live = state === 'connected';
    const there = ping === undefined ? '' : `${ping < 10 ? ping.toFixed(1) : Math.round(ping)} ms`;
    setText(byId('direct-ping'), live ? there : '');
    setText(byId('call-stats'), live ? [this.#seesThem && videoWidth ? `${videoWidth}×${videoHeight}` : '', there].filter(Boolean).join(' · ') : '');
  }

  #sound() {
    const { state } = this.#call;
    if (state === this.#heard) return;
    this.#heard = state;
    if (this.#settings.sound && ['ringing', 'incoming'].includes(state)) ring(state === 'incoming');
    else silence();
  }

  #showDirect(open) {
    byId('direct').hidden = !open;
    byId('direct-toggle').setAttribute('aria-expanded', String(open));
  }

  #say(name, text) {
    if (byId('direct').hidden) this.#showDirect(true);
    const log = byId('direct-log');
    log.append(element('p', {}, element('strong', {}, name), ' ', element('span', { dir: 'auto' }, text)));
    if (log.children.length > MAX_LINES) log.firstChild.remove();
  }

  #close() {
    byId('call').hidden = true;
    byId('call-tab').hidden = true;
    byId('remote-video').srcObject = null;
    this.#calls.dispatchEvent(new Event('close'));
  }
}
