// A TwiML document with what is wrong in it, at the line.

import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Button } from "react-aria-components";
import { type Checked, type Diagnostic, own } from "../api";
import { Badge, Inert, Problem } from "../ui";

export type Kind = "voice" | "messaging";

/** What the platform reads in a document. */
export const useCheck = (kind: Kind, document: string, contentType?: string) =>
  useQuery({
    queryKey: ["twiml", kind, document, contentType],
    queryFn: () =>
      own<Checked>("/twiml", "POST", { kind, document, content_type: contentType ?? null }),
    staleTime: Number.POSITIVE_INFINITY,
    placeholderData: (before) => before,
  });

interface DiagnosticsProps {
  all: Diagnostic[];
  isFatal: boolean;
  /** Goes where a mistake is, where there is a way. */
  onGo?: (line: number, column: number) => void;
}

export function Diagnostics({ all, isFatal, onGo }: DiagnosticsProps) {
  return (
    <ul className="diagnostics">
      {all.map((one) => (
        <li key={`${one.line}:${one.column}:${one.code}:${one.message}`}>
          <Link to="/console/debugger" search={{ code: String(one.code) }}>
            <Badge as={isFatal ? "bad" : "wait"}>{String(one.code)}</Badge>
          </Link>{" "}
          {onGo ? (
            <Button className="quiet" onPress={() => onGo(one.line, one.column)}>
              line {one.line}, column {one.column}
            </Button>
          ) : (
            `line ${one.line}, column ${one.column}`
          )}
          : <Inert text={one.message} />
        </li>
      ))}
    </ul>
  );
}

/** A document that was answered, line by line. */
export function TwiML(props: { kind: Kind; text: string; contentType?: string }) {
  const checked = useCheck(props.kind, props.text, props.contentType);
  const found = checked.data?.diagnostics ?? [];
  return (
    <div className="twiml">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keys */}
      <ol tabIndex={0} aria-label="TwiML">
        {props.text.split("\n").map((line, index) => {
          const here = found.filter((one) => one.line === index + 1);
          return (
            // biome-ignore lint/suspicious/noArrayIndexKey: lines have no other name
            <li key={index} className={here.length > 0 ? "faulty" : ""}>
              <code>
                <Inert text={line} />
              </code>
              {here.length > 0 ? (
                <Diagnostics all={here} isFatal={checked.data?.fatal ?? false} />
              ) : null}
            </li>
          );
        })}
      </ol>
      <Problem error={checked.error} />
      {checked.isSuccess && found.length === 0 ? <p className="hint">Nothing is wrong.</p> : null}
    </div>
  );
}
