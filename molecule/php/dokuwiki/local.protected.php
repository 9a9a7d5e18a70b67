<?php
$conf['title'] = 'Wiki';
$conf['userewrite'] = 1;
$conf['useslash'] = 1;
$conf['useacl'] = 1;
$conf['superuser'] = '@admin';
$conf['disableactions'] = 'register';
