// Cameras and microphones.

/**
 * Opens what a call of a kind needs, or as much of it as there is. `problem` says what is missing, for people.
 * @param {'video' | 'audio' | 'text'} kind
 * @returns {Promise<{ stream?: MediaStream, problem: string }>}
 */
export async function openMedia(kind) {
  if (kind === 'text') return { problem: '' };
  if (!navigator.mediaDevices) {
    return { problem: 'No camera or microphone here: the page needs HTTPS or localhost.' };
  }
  const attempts = kind === 'video'
    ? [{ audio: true, video: true }, { audio: true }, { video: true }]
    : [{ audio: true }];
  let failure;
  for (const wanted of attempts) {
    try {
      const stream = await navigator.mediaDevices.getUserMedia(wanted);
      return { stream, problem: missing(kind, stream) };
    } catch (error) {
      failure = error;
      if (error.name === 'NotAllowedError') break;
    }
  }
  return { problem: describe(failure, kind) };
}

function missing(kind, stream) {
  if (!stream.getAudioTracks().length) return 'No microphone found.';
  if (kind === 'video' && !stream.getVideoTracks().length) return 'No camera found.';
  return '';
}

function describe({ name, message }, kind) {
  const what = kind === 'video' ? 'Camera and microphone' : 'The microphone';
  const plural = kind === 'video';
  switch (name) {
    case 'NotAllowedError': return `${what} ${plural ? 'are' : 'is'} blocked in this browser.`;
    case 'NotFoundError': return plural ? 'No camera or microphone found.' : 'No microphone found.';
    case 'NotReadableError': return `${what} ${plural ? 'are' : 'is'} in use by another program.`;
    default: return message;
  }
}

export function closeMedia(stream) {
  for (const track of stream?.getTracks() ?? []) track.stop();
}
