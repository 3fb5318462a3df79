// Writing from a phone: to whom, what, and a picture.

import { useState } from "react";
import {
  Button,
  FileTrigger,
  Form,
  Input,
  Label,
  TextArea,
  TextField,
} from "react-aria-components";

/** What the API takes, with a tapped button or row. */
export interface Typed {
  body: string;
  media?: { content_type: string; data: string }[];
  button?: string;
  row?: string;
}

interface Props {
  peer: string;
  peers: string[];
  /** `null` is whoever wrote last. */
  onPeer: (peer: string | null) => void;
  /** Whether it was taken. */
  onSend: (typed: Typed) => Promise<boolean>;
}

const CHARACTERS_MAX = 1600;
const PICTURE_BYTES_MAX = 5_000_000;

async function read(file: File) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return { content_type: file.type || "application/octet-stream", data: btoa(text) };
}

export function Composer({ peer, peers, onPeer, onSend }: Props) {
  const [body, setBody] = useState("");
  const [files, setFiles] = useState<File[]>([]);
  const [isNew, setNew] = useState(false);
  const addressing = isNew || peers.length === 0;
  const send = async () => {
    if (!body && files.length === 0) return;
    const media = await Promise.all(files.map(read));
    if (await onSend(media.length > 0 ? { body, media } : { body })) {
      setBody("");
      setFiles([]);
      setNew(false);
      onPeer(null);
    }
  };
  return (
    <Form
      className="composer"
      onSubmit={(event) => {
        event.preventDefault();
        void send();
      }}
    >
      {addressing ? (
        <TextField className="to" value={peer} onChange={onPeer} isRequired>
          <Label>To</Label>
          <Input placeholder="+1… or whatsapp:+14155238886" />
        </TextField>
      ) : null}
      {files.length > 0 ? (
        <p className="hint">
          {files.map((file) => file.name).join(", ")}{" "}
          <Button className="quiet" onPress={() => setFiles([])}>
            Remove
          </Button>
        </p>
      ) : null}
      <div className="row">
        <TextField value={body} onChange={setBody} maxLength={CHARACTERS_MAX}>
          <Label className="unseen">Message</Label>
          <TextArea
            rows={1}
            placeholder="Text message"
            onKeyDown={(event) => {
              if (event.key === "Enter" && !event.shiftKey && !event.nativeEvent.isComposing) {
                event.preventDefault();
                void send();
              }
            }}
          />
        </TextField>
        <FileTrigger
          acceptedFileTypes={["image/*", "audio/*", "video/*", "application/pdf"]}
          onSelect={(list) =>
            setFiles([...(list ?? [])].filter((f) => f.size <= PICTURE_BYTES_MAX).slice(0, 10))
          }
        >
          <Button className="quiet" aria-label="+ Attach a picture">
            +
          </Button>
        </FileTrigger>
        {peers.length > 0 ? (
          <Button
            className="quiet"
            aria-label={addressing ? "To the conversation again" : "To another number"}
            onPress={() => {
              setNew(!addressing);
              onPeer(addressing ? null : "");
            }}
          >
            To
          </Button>
        ) : null}
        <Button type="submit">Send</Button>
      </div>
    </Form>
  );
}
