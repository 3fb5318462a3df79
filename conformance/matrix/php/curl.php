<?php
$sid = getenv('TWILIO_ACCOUNT_SID');
$curl = curl_init("https://api.twilio.com/2010-04-01/Accounts/$sid/Messages.json");
curl_setopt_array($curl, [
    CURLOPT_RETURNTRANSFER => true,
    CURLOPT_FAILONERROR => true,
    CURLOPT_USERPWD => $sid . ':' . getenv('TWILIO_AUTH_TOKEN'),
    CURLOPT_POSTFIELDS => http_build_query([
        'From' => getenv('TWILIO_PHONE_NUMBER'),
        'To' => '+15005550006',
        'Body' => $argv[1],
    ]),
]);
$answer = curl_exec($curl);
if ($answer === false) {
    fwrite(STDERR, curl_error($curl) . "\n");
    exit(1);
}
echo 'reached ', json_decode($answer)->sid, "\n";
