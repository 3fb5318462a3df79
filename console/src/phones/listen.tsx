// Hearing what a phone hears: its sound is read behind what is known, and played in a row.

import { useEffect, useState } from "react";
import { Button } from "react-aria-components";
import { own, ownRaw } from "../api";
import { Problem } from "../ui";

const EVERY_MS = 400;
/** How far behind the call its sound is, in seconds, so that it never breaks off. */
const BEHIND = 0.6;
const FRAMES = "offhook-frames";

/** Plays a call's sound until it is told to stop. */
async function play(place: string, signal: AbortSignal) {
  await own(place, "POST");
  const sound = new AudioContext();
  signal.addEventListener("abort", () => void sound.close());
  let after = 0;
  let next = 0;
  while (!signal.aborted) {
    const answer = await ownRaw(`${place}?after=${after}`, signal);
    const known = after;
    after = Number(answer.headers.get(FRAMES) ?? 0);
    const bytes = await answer.arrayBuffer();
    if (after > known && !signal.aborted) {
      const source = sound.createBufferSource();
      source.buffer = await sound.decodeAudioData(bytes);
      source.connect(sound.destination);
      next = Math.max(next, sound.currentTime + (next === 0 ? BEHIND : 0));
      source.start(next);
      next += source.buffer.duration;
    }
    await new Promise((done) => setTimeout(done, EVERY_MS));
  }
}

export function Listen({ place }: { place: string }) {
  const [isOn, setOn] = useState(false);
  const [error, setError] = useState<unknown>(null);
  useEffect(() => {
    if (!isOn) return;
    const stop = new AbortController();
    setError(null);
    play(place, stop.signal).catch((failure) => {
      if (stop.signal.aborted) return;
      setOn(false);
      setError(failure);
    });
    return () => stop.abort();
  }, [isOn, place]);
  return (
    <>
      <Button className="quiet" aria-pressed={isOn} onPress={() => setOn(!isOn)}>
        {isOn ? "Stop listening" : "Listen"}
      </Button>
      <Problem error={error} />
    </>
  );
}
