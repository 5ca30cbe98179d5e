// Rings, made of two tones. A page may make a sound only after somebody has clicked or typed in it.

let context;
let timer;

const CALLED = { tones: [660, 880], length: 0.18, every: 2000 };
const CALLING = { tones: [440], length: 0.7, every: 3000 };

export function ring(incoming) {
  silence();
  if (!navigator.userActivation?.hasBeenActive) return;
  context ??= new AudioContext();
  context.resume();
  const { tones, length, every } = incoming ? CALLED : CALLING;
  const play = () => tones.forEach((tone, i) => beep(tone, context.currentTime + i * length, length));
  play();
  timer = setInterval(play, every);
}

export function silence() {
  clearInterval(timer);
}

function beep(frequency, at, length) {
  const tone = context.createOscillator();
  const volume = context.createGain();
  tone.frequency.value = frequency;
  volume.gain.setValueAtTime(0, at);
  volume.gain.linearRampToValueAtTime(0.08, at + 0.02);
  volume.gain.linearRampToValueAtTime(0, at + length);
  tone.connect(volume).connect(context.destination);
  tone.start(at);
  tone.stop(at + length);
}
