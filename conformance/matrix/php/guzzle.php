<?php
require 'GuzzleHttp/autoload.php';

$sid = getenv('TWILIO_ACCOUNT_SID');
$client = new GuzzleHttp\Client();
$response = $client->post("https://api.twilio.com/2010-04-01/Accounts/$sid/Messages.json", [
    'auth' => [$sid, getenv('TWILIO_AUTH_TOKEN')],
    'form_params' => [
        'From' => getenv('TWILIO_PHONE_NUMBER'),
        'To' => '+15005550006',
        'Body' => $argv[1],
    ],
]);
echo 'reached ', json_decode($response->getBody())->sid, "\n";
