<?php
// Prepended to PHP programs by auto_prepend_file. ext-curl reads the proxy variables by
// itself; the https stream wrapper knows no proxy unless each context names it.
(static function () {
    $door = getenv('OFFHOOK_DOOR');
    if (!$door) {
        return;
    }
    if (!class_exists('OffhookHttps', false)) {
        final class OffhookHttps
        {
            public static string $door = '';
            public static array $domains = [];
            public $context;
            private $stream;

            private static function ours(string $url): bool
            {
                $host = rtrim(strtolower((string) parse_url($url, PHP_URL_HOST)), '.');
                foreach (self::$domains as $domain) {
                    if ($host === $domain || str_ends_with($host, '.' . $domain)) {
                        return true;
                    }
                }
                return false;
            }

            public function stream_open($url, $mode, $options, &$opened): bool
            {
                $given = $this->context ? stream_context_get_options($this->context) : stream_context_get_options(stream_context_get_default());
                if (self::ours($url)) {
                    $given['http']['proxy'] = 'tcp://' . self::$door;
                }
                stream_wrapper_restore('https');
                try {
                    $this->stream = $options & STREAM_REPORT_ERRORS
                        ? fopen($url, $mode, false, stream_context_create($given))
                        : @fopen($url, $mode, false, stream_context_create($given));
                } finally {
                    self::take();
                }
                if (isset($http_response_header)) {
                    $GLOBALS['http_response_header'] = $http_response_header;
                }
                return $this->stream !== false;
            }

            public static function take(): void
            {
                stream_wrapper_unregister('https');
                stream_wrapper_register('https', self::class, STREAM_IS_URL);
            }

            public function stream_read($count)
            {
                return fread($this->stream, $count);
            }

            public function stream_eof(): bool
            {
                return feof($this->stream);
            }

            public function stream_stat()
            {
                return fstat($this->stream);
            }

            public function stream_set_option($option, $first, $second): bool
            {
                return match ($option) {
                    STREAM_OPTION_BLOCKING => stream_set_blocking($this->stream, (bool) $first),
                    STREAM_OPTION_READ_TIMEOUT => stream_set_timeout($this->stream, $first, $second),
                    default => false,
                };
            }

            public function stream_close(): void
            {
                fclose($this->stream);
            }
        }
    }
    OffhookHttps::$door = $door;
    OffhookHttps::$domains = __DOMAINS__;
    if (in_array('https', stream_get_wrappers(), true)) {
        OffhookHttps::take();
    }
})();
