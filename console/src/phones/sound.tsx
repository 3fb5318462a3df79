// The sound of a call in the page, by WebRTC: what the phone hears is played, and the microphone, once
// somebody asks for it, is what the phone says.

import { useEffect, useRef, useState } from "react";
import { Button } from "react-aria-components";
import { type Answer, own } from "../api";
import { Problem } from "../ui";

/** How often the level of what is heard is shown. */
const LEVEL_MS = 100;

/** A connection to a call. */
interface Line {
  /** Gives the phone this microphone's sound, or none. */
  say: (track: MediaStreamTrack | null) => Promise<void>;
  /** How loud it is now, 0 to 1. */
  level: () => number;
  close: () => void;
}

async function open(place: string, onLost: () => void): Promise<Line> {
  const peer = new RTCPeerConnection();
  const player = new Audio();
  player.autoplay = true;
  const context = new AudioContext();
  const meter = context.createAnalyser();
  const samples = new Float32Array(meter.fftSize);
  let page: number | null = null;
  let isClosed = false;
  const close = () => {
    if (isClosed) return;
    isClosed = true;
    peer.close();
    player.srcObject = null;
    void context.close();
    // A call that is over has let go of its pages by itself.
    if (page !== null) own(`${place}/${page}`, "DELETE").catch(() => {});
  };
  peer.addEventListener("track", ({ track }) => {
    const stream = new MediaStream([track]);
    player.srcObject = stream;
    context.createMediaStreamSource(stream).connect(meter);
  });
  peer.addEventListener("connectionstatechange", () => {
    if (peer.connectionState === "failed" && !isClosed) onLost();
  });
  try {
    // Both ways from the beginning, so that the microphone needs no new offer.
    const { sender } = peer.addTransceiver("audio", { direction: "sendrecv" });
    await peer.setLocalDescription();
    const sdp = peer.localDescription?.sdp;
    const answer = await own<Answer<"/handsets/{number}/calls/{call}/sound", "post">>(
      place,
      "POST",
      { sdp },
    );
    page = answer.page;
    await peer.setRemoteDescription({ type: "answer", sdp: answer.sdp });
    const level = () => {
      meter.getFloatTimeDomainData(samples);
      return samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
    };
    return { say: (track) => sender.replaceTrack(track), level, close };
  } catch (error) {
    close();
    throw error;
  }
}

/** The microphone, if the browser has one for this page and the person allows it. */
async function microphone(): Promise<MediaStreamTrack> {
  if (!navigator.mediaDevices) {
    throw new Error("Browsers give the microphone to pages of this machine and of HTTPS alone.");
  }
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true }).catch((error) => {
    throw new Error(`No microphone: ${error.message}`);
  });
  const [track] = stream.getAudioTracks();
  if (!track) throw new Error("No microphone was given.");
  return track;
}

/** `place` is the call's sound in the API. */
export function Sound({ place }: { place: string }) {
  const line = useRef<Promise<Line> | null>(null);
  const voice = useRef<MediaStreamTrack | null>(null);
  const [isOn, setOn] = useState(false);
  const [isSpeaking, setSpeaking] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const mute = () => {
    voice.current?.stop();
    voice.current = null;
    setSpeaking(false);
  };
  const stop = () => {
    mute();
    line.current?.then(({ close }) => close()).catch(() => {});
    line.current = null;
    setOn(false);
  };
  const fail = (failure: unknown) => {
    stop();
    setError(failure);
  };
  const listen = () => {
    setError(null);
    setOn(true);
    line.current ??= open(place, () => fail(new Error("The connection for sound is lost.")));
    return line.current;
  };
  const speak = async () => {
    const opened = listen();
    // Asked for while the connection is made, so that the person's click still counts.
    const [{ say }, track] = await Promise.all([opened, microphone()]);
    if (line.current !== opened) return track.stop();
    voice.current = track;
    track.addEventListener("ended", mute);
    await say(track);
    setSpeaking(true);
  };
  const hush = async () => {
    mute();
    await (await line.current)?.say(null);
  };
  // biome-ignore lint/correctness/useExhaustiveDependencies: what is open is closed at the end alone
  useEffect(() => stop, []);
  return (
    <div className="row sound" role="group" aria-label="Sound">
      <Button
        className="quiet"
        aria-pressed={isOn}
        onPress={() => (isOn ? stop() : void listen().catch(fail))}
      >
        {isOn ? "Stop listening" : "Listen"}
      </Button>
      <Button
        className={isSpeaking ? "danger" : "quiet"}
        aria-pressed={isSpeaking}
        onPress={() => void (isSpeaking ? hush() : speak()).catch(fail)}
      >
        {isSpeaking ? "Stop the microphone" : "Speak by microphone"}
      </Button>
      {isOn ? <Level line={line.current} /> : null}
      <Problem error={error} />
    </div>
  );
}

function Level({ line }: { line: Promise<Line> | null }) {
  const [level, setLevel] = useState(0);
  useEffect(() => {
    let opened: Line | null = null;
    line?.then((found) => (opened = found)).catch(() => {});
    const timer = setInterval(() => setLevel(opened?.level() ?? 0), LEVEL_MS);
    return () => clearInterval(timer);
  }, [line]);
  return <meter min={0} max={1} value={Math.min(level, 1)} aria-label="Sound heard" />;
}
