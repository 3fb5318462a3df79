<?php
$sid = getenv('TWILIO_ACCOUNT_SID');
$login = base64_encode($sid . ':' . getenv('TWILIO_AUTH_TOKEN'));
$context = stream_context_create(['http' => [
    'method' => 'POST',
    'header' => [
        "Authorization: Basic $login",
        'Content-Type: application/x-www-form-urlencoded',
    ],
    'content' => http_build_query([
        'From' => getenv('TWILIO_PHONE_NUMBER'),
        'To' => '+15005550006',
        'Body' => $argv[1],
    ]),
]]);
$url = "https://api.twilio.com/2010-04-01/Accounts/$sid/Messages.json";
$answer = file_get_contents($url, false, $context);
if ($answer === false) {
    exit(1);
}
echo 'reached ', json_decode($answer)->sid, "\n";
