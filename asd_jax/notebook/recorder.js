// Records `seconds` of the microphone, raw, and resolves to a 16-bit mono wav in base64, or to
// 'error:' and a reason. What a browser does for speech is switched off.
async function recordWav(seconds, label) {
  const constraints = {echoCancellation: false, noiseSuppression: false, autoGainControl: false};
  const line = document.createElement("p");
  line.setAttribute("role", "status");
  document.body.appendChild(line);
  let stream, context;
  try {
    line.textContent = `${label}: the browser asks for the microphone`;
    stream = await navigator.mediaDevices.getUserMedia({audio: constraints});
    context = new AudioContext();
    await context.resume();
    const worklet = `registerProcessor("tap", class extends AudioWorkletProcessor {
      process(inputs) { if (inputs[0][0]) this.port.postMessage(inputs[0][0].slice()); return true; }
    });`;
    const address = URL.createObjectURL(new Blob([worklet], {type: "text/javascript"}));
    await context.audioWorklet.addModule(address);
    const tap = new AudioWorkletNode(context, "tap");
    const wanted = Math.round(seconds * context.sampleRate);
    const samples = new Int16Array(wanted);
    await new Promise((resolve, reject) => {
      let got = 0;
      const late = setTimeout(() => reject(new Error("no sound came")), 1000 * seconds + 10000);
      tap.port.onmessage = ({data}) => {
        for (let k = 0; k < data.length && got < wanted; k++, got++) {
          samples[got] = Math.max(-32768, Math.min(32767, Math.round(data[k] * 32768)));
        }
        const left = Math.ceil((wanted - got) / context.sampleRate);
        line.textContent = `${label}: recording, ${left} s left`;
        if (got === wanted) { clearTimeout(late); resolve(); }
      };
      context.createMediaStreamSource(stream).connect(tap).connect(context.destination);
    });
    line.textContent = `${label}: done`;
    return toBase64(wavOf(samples, context.sampleRate));
  } catch (error) {
    line.textContent = `${label}: ${error.message}`;
    return `error:${error.message}`;
  } finally {
    if (stream) stream.getTracks().forEach((track) => track.stop());
    if (context) await context.close();
  }
}

function wavOf(samples, rate) {
  const header = new DataView(new ArrayBuffer(44));
  const text = (at, word) => [...word].forEach((c, k) => header.setUint8(at + k, c.charCodeAt(0)));
  text(0, "RIFF"); header.setUint32(4, 36 + 2 * samples.length, true); text(8, "WAVEfmt ");
  header.setUint32(16, 16, true); header.setUint16(20, 1, true); header.setUint16(22, 1, true);
  header.setUint32(24, rate, true); header.setUint32(28, 2 * rate, true);
  header.setUint16(32, 2, true); header.setUint16(34, 16, true);
  text(36, "data"); header.setUint32(40, 2 * samples.length, true);
  const wav = new Uint8Array(44 + 2 * samples.length);
  wav.set(new Uint8Array(header.buffer)); wav.set(new Uint8Array(samples.buffer), 44);
  return wav;
}

function toBase64(bytes) {
  let text = "";
  for (let k = 0; k < bytes.length; k += 0x8000) {
    text += String.fromCharCode(...bytes.subarray(k, k + 0x8000));
  }
  return btoa(text);
}
