"""Which odd forms of the emulator are of transcripts and of speech, and of which of their answers each makes sense."""

OF_STREAMS = ("transcription-chunks", "segment-texts", "empty-transcript", "duration-usage", "half-heard",
              "no-transcript-done", "transcript-error", "deltas-without-text")
OF_WHOLE = ("empty-transcript", "duration-usage", "half-heard", "transcript-error")
OF_WAV = ("wav-length-zero", "wav-a-piece", "wav-tags-after", "wav-short", "header-alone", "speech-error",
          "error-in-sound", "page-for-sound", "wav-contradicts-itself")
OF_SOUND = (*OF_STREAMS, *OF_WAV)
