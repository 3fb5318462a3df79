//! Words to sound and back: an endpoint of the operator's, or what is on this machine.
//!
//! Endpoints speak the OpenAI audio API (`/audio/speech`, `/audio/transcriptions`), which local
//! engines offer as well. Without one, `espeak-ng` speaks where it is installed, and nobody
//! understands sound (what simulated handsets say is known without it).

use std::process::Stdio;
use std::sync::{Arc, Once};
use std::time::Duration;

use contracts::{BoxFuture, Listening, Recogniser, SoundFiles, Speaker, Utterance};
use kernel::Secret;
use outbound::{Client, Method, RawRequest};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// How long one sentence may take to be spoken or understood.
const PATIENCE: Duration = Duration::from_secs(20);
/// Samples a second of telephone sound.
const RATE: u32 = 8000;
/// Largest sound, in bytes.
const SOUND_BYTES_MAX: usize = 64 << 20;

/// `[speech]` of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The base of the API, such as `http://127.0.0.1:8000/v1`.
    pub url: String,
    #[serde(default)]
    pub api_key: Option<Secret>,
    /// The model that speaks; none: `espeak-ng` does.
    #[serde(default)]
    pub speech_model: Option<String>,
    /// The voice of words that name none.
    #[serde(default = "usual_voice")]
    pub voice: String,
    /// The model that understands; none: nobody does.
    #[serde(default)]
    pub transcription_model: Option<String>,
}

fn usual_voice() -> String {
    "alloy".to_owned()
}

/// Speaks and understands.
pub struct Speech {
    config: Option<Config>,
    client: Arc<Client>,
    /// That nothing speaks is said once.
    silence: Once,
}

impl Speech {
    pub fn new(config: Option<Config>, client: Arc<Client>) -> Self {
        Self { config, client, silence: Once::new() }
    }

    async fn ask(
        &self,
        config: &Config,
        path: &str,
        content_type: String,
        body: Vec<u8>,
    ) -> Option<Vec<u8>> {
        let url = format!("{}/{path}", config.url.trim_end_matches('/'));
        let mut request = RawRequest::new(Method::Post, url);
        request.headers.push(("Content-Type".to_owned(), content_type));
        if let Some(key) = &config.api_key {
            request.headers.push(("Authorization".to_owned(), format!("Bearer {}", key.0)));
        }
        request.body = body;
        request.body_bytes_max = SOUND_BYTES_MAX;
        request.total_timeout = PATIENCE;
        match self.client.raw(request).await {
            Ok(answer) if answer.status == 200 => Some(answer.body),
            Ok(answer) => {
                tracing::warn!(status = answer.status, path, "the speech endpoint refused");
                None
            }
            Err(failure) => {
                tracing::warn!(why = failure.message, path, "the speech endpoint was not reached");
                None
            }
        }
    }
}

impl Speaker for Speech {
    fn speak<'a>(&'a self, utterance: &'a Utterance) -> BoxFuture<'a, Option<Vec<u8>>> {
        Box::pin(async move {
            if let Some(config) = &self.config
                && let Some(model) = &config.speech_model
            {
                let voice = utterance.voice.as_ref().unwrap_or(&config.voice);
                let body = json!({
                    "model": model,
                    "input": utterance.text,
                    "voice": voice,
                    "response_format": "wav",
                });
                let kind = "application/json".to_owned();
                let sound = self.ask(config, "audio/speech", kind, body.to_string().into()).await;
                if let Some(file) = sound.and_then(|file| telephone(&file)) {
                    return Some(file);
                }
            }
            let spoken = tokio::time::timeout(PATIENCE, espeak(utterance)).await.ok().flatten();
            if spoken.is_none() && !utterance.text.trim().is_empty() {
                self.silence.call_once(|| {
                    tracing::warn!(
                        "a sentence is silence: is espeak-ng installed, or does [speech] name a service?"
                    );
                });
            }
            telephone(&spoken?)
        })
    }
}

impl Recogniser for Speech {
    fn recognise<'a>(&'a self, file: Vec<u8>, how: &'a Listening) -> BoxFuture<'a, Option<String>> {
        Box::pin(async move {
            let config = self.config.as_ref()?;
            let model = config.transcription_model.as_ref()?;
            let language = how.language.split('-').next().unwrap_or("en");
            let boundary = format!("offhook-{:016x}", rand::random::<u64>());
            let mut body = Vec::new();
            let prompt = how.hints.join(", ");
            for (name, value) in
                [("model", model.as_str()), ("language", language), ("prompt", &prompt)]
            {
                if !value.is_empty() {
                    let head = format!(
                        "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n"
                    );
                    body.extend(head.into_bytes());
                    body.extend(value.as_bytes());
                    body.extend(b"\r\n");
                }
            }
            let head = format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; \
                 filename=\"speech.wav\"\r\nContent-Type: audio/wav\r\n\r\n"
            );
            body.extend(head.into_bytes());
            body.extend(file);
            body.extend(format!("\r\n--{boundary}--\r\n").into_bytes());
            let kind = format!("multipart/form-data; boundary={boundary}");
            let answer = self.ask(config, "audio/transcriptions", kind, body).await?;
            let answer: Value = serde_json::from_slice(&answer).ok()?;
            Some(answer["text"].as_str()?.trim().to_owned())
        })
    }
}

/// Runs `espeak-ng`, which takes the text from its input and writes WAV.
async fn espeak(utterance: &Utterance) -> Option<Vec<u8>> {
    let mut command = Command::new("espeak-ng");
    command.args(["--stdin", "--stdout"]);
    if let Some(language) = utterance.language.as_deref().filter(|name| is_language(name)) {
        command.args(["-v", &language.to_ascii_lowercase()]);
    }
    let spoken = run(command, utterance.text.as_bytes()).await;
    match (spoken, &utterance.language) {
        // A language that it does not have is spoken in the one it begins with.
        (None, Some(_)) => {
            let mut command = Command::new("espeak-ng");
            command.args(["--stdin", "--stdout"]);
            run(command, utterance.text.as_bytes()).await
        }
        (spoken, _) => spoken,
    }
}

/// What cannot be taken for anything but a language on a command line.
fn is_language(name: &str) -> bool {
    name.len() < 16
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

/// What a program makes of its input.
async fn run(mut command: Command, input: &[u8]) -> Option<Vec<u8>> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .ok()?;
    let mut pipe = child.stdin.take()?;
    let input = input.to_vec();
    // Both ways at once: a full pipe would stop the other.
    let written = tokio::spawn(async move { pipe.write_all(&input).await });
    let output = child.wait_with_output().await.ok()?;
    written.await.ok()?.ok()?;
    let has_sound = output.status.success() && output.stdout.len() > 44;
    has_sound.then_some(output.stdout)
}

/// Makes MP3 with `lame`, where it is installed.
pub struct Lame;

impl SoundFiles for Lame {
    fn mp3(&self, file: Vec<u8>) -> BoxFuture<'_, Option<Vec<u8>>> {
        Box::pin(async move {
            let mut command = Command::new("lame");
            command.args(["--quiet", "-b", "32", "-", "-"]);
            tokio::time::timeout(PATIENCE, run(command, &file)).await.ok()?
        })
    }
}

/// A WAV file of whatever rate as one of 8 kHz mono.
fn telephone(file: &[u8]) -> Option<Vec<u8>> {
    let samples = audio::wav::read(file).ok()?.into_telephone().ok()?;
    audio::wav::write(audio::wav::Encoding::Pcm16, RATE, 1, &samples).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_no_options() {
        for (name, fine) in
            [("en-US", true), ("de", true), ("-w", false), ("a b", false), ("../x", false)]
        {
            assert_eq!(is_language(name), fine, "{name}");
        }
    }
}
